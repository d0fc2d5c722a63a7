"""The web site: `scripts/docs` builds it from these pages, the docstrings and the gallery, without a network."""

import importlib.util
import sys
from pathlib import Path

import fastntk

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from inventories import inventories  # noqa: E402
from sphinx.ext import autosummary  # noqa: E402

# The line about a function in a table is the first one of its docstring: in formulas a full stop ends no sentence.
autosummary.extract_summary = lambda lines, document: next((line for line in lines if line.strip()), "")

project = "fastntk"
author = "fastntk developers"
copyright = "fastntk developers, BSD-3-Clause"
version = release = fastntk.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "gallery/README.txt", "gallery/*.py"]
templates_path = ["_templates"]
suppress_warnings = ["config.cache"]  # a gallery's settings hold functions, which no cache can keep
default_role = (
    "autolink"  # `train` in a docstring is a link where there is such a name, code where there is none
)

# Pages in Markdown, with formulas between dollars and anchors for headings.
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

# MathJax comes with a package, in one file.
_mathjax = Path(importlib.util.find_spec("mathjax").submodule_search_locations[0])
html_static_path = ["_static", str(_mathjax / "static/mathjax/es5/tex-svg.js")]
mathjax_path = "tex-svg.js"

# Links to other packages, from a list of names that is kept here.
intersphinx_mapping = inventories(HERE / "_build" / "inventories")

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # the docstrings say what an argument may be
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # the pages of classes list them
numpydoc_xref_param_type = True
numpydoc_xref_aliases = {
    "Run": "fastntk.Run",
    "Sweep": "fastntk.Sweep",
    "DeepReLU": "fastntk.DeepReLU",
    "TwoLayerReLU": "fastntk.TwoLayerReLU",
    "Diagnostics": "fastntk.Diagnostics",
    "PackedMasks": "fastntk.PackedMasks",
    "Plan": "fastntk.Plan",
    "Enclosed": "fastntk.Enclosed",
    "Spectrum": "fastntk.Spectrum",
}
numpydoc_xref_ignore = "all"

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "filename_pattern": r"/\w+\.py$",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "doc_module": ("fastntk",),
    "reference_url": {"fastntk": None},
    "backreferences_dir": None,
    "min_reported_time": 1,
    "matplotlib_animations": False,
    "plot_gallery": True,
    "image_scrapers": ("matplotlib",),
    "default_thumb_file": str(HERE / "images" / "reproduce.png"),
}
if importlib.util.find_spec("torch") is None:  # shown, but not run
    sphinx_gallery_conf["filename_pattern"] = r"/(?!torch)\w+\.py$"

html_theme = "pydata_sphinx_theme"
html_title = "fastntk"
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"index": []}
html_theme_options = {
    "header_links_before_dropdown": 9,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
