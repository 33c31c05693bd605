"""The tables of README.md, for render_readme.py."""
