"""Sphinx configuration."""

project = "rmtstab"
author = "the rmtstab developers"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc", "myst_parser"]
myst_enable_extensions = ["dollarmath"]
exclude_patterns = ["_build"]
html_theme = "furo"
autodoc_typehints = "none"
numpydoc_show_class_members = False
suppress_warnings = ["myst.header", "ref.term"]
