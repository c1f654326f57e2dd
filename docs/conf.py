"""How `nox -s docs` builds the pages: those of this folder, and the API from the docstrings."""

import importlib.metadata
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

project = "kerasmusic"
author = "the developers of kerasmusic"
release = version = importlib.metadata.version("kerasmusic")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
html_theme = "furo"
html_title = "kerasmusic"
exclude_patterns = ["*.ipynb"]
myst_heading_anchors = 3
# Only the exporter needs it, and its pages do not.
autodoc_mock_imports = ["tensorflow"]
# What a package takes from its modules is shown there alone.
autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autosummary_generate = True
