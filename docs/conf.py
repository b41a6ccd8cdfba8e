"""The documentation as a site: `make docs` builds it into build/docs without any network.

The source folder is the root of the project, so that a link between two files is the same on the
site and in the repository.
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from tune_ad import __version__  # noqa: E402

project = "tune_ad"
author = "the authors of tune_ad"
copyright = author
version = release = __version__
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "benchmarks/NOTES.md",
]
exclude_patterns = [
    "build",
    "data",
    "results",
    ".*",
    "docs/results/records",
    "docs/results/reports",
    "tests",
    "tune_ad",
]
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docs.site.mathml",
    "docs.site.docstrings",
    "docs.site.tables",
    "docs.site.results",
    "docs.site.opening",
]

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

smartquotes = False  # "--" stays as it is typed
default_role = "literal"  # `name` in a docstring is code
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
add_module_names = False
toc_object_entries_show_parents = "hide"

suppress_warnings = ["ref.python"]  # words in the place of a type, such as (trials, tasks)

html_theme = "furo"
html_title = "tune_ad"
html_math_renderer = "mathml"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
