"""A validation run as a page to look at."""

from zoo.validation.page.document import page, write_page

__all__ = ["page", "write_page"]
