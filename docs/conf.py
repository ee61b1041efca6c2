"""Sphinx configuration: pages that show whole without a network."""

import os
import sys
from pathlib import Path

import rmtstab

sys.path.insert(0, str(Path(__file__).parent / "extensions"))
os.environ["MPLBACKEND"] = "Agg"
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

project = "rmtstab"
author = "the rmtstab developers"
version = release = rmtstab.__version__
extensions = [
    "reference",
    "mathml",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
html_math_renderer = "mathml"
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_dmath_double_inline = True  # a display formula inside a paragraph
myst_heading_anchors = 3
exclude_patterns = ["_build", "gallery/*", "extensions"]
templates_path = ["_templates"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["rmtstab.css"]
html_title = f"rmtstab {release}"
autodoc_typehints = "none"
autosummary_generate = True
numpydoc_show_class_members = False
suppress_warnings = ["myst.header", "ref.term"]

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,  # an example ends in assertions: one that fails fails the build
    "image_srcset": ["2x"],
    "reset_modules": ("house_style.apply",),
    "download_all_examples": False,
    "remove_config_comments": True,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "show_memory": False,
    "plot_gallery": os.environ.get("RMTSTAB_GALLERY", "True"),
}
