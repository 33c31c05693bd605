"""The recipe of zoo/validation/recipe.py, for tests too that must do without zoo."""

import importlib.util
from pathlib import Path

_path = Path(__file__).parents[1] / "zoo" / "validation" / "recipe.py"
_spec = importlib.util.spec_from_file_location("recipe_of_zoo", _path)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

weights, images = _module.weights, _module.images
