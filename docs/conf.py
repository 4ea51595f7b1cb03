"""How Sphinx makes the site of the documentation: `make docs`, into build/site.

Pages are Markdown, so that they read as they are in the repository, too. Every warning is an error there
(`scripts/documentation.py`): a link to a page, a heading or a file that is not there stops the build.
"""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "extensions"))

project = "yibu"
author = "The yibu authors"
copyright = "The yibu authors"  # noqa: A001  # Sphinx's own name
with open(ROOT / "Cargo.toml", "rb") as file:
    release = version = tomllib.load(file)["workspace"]["package"]["version"]
with open(ROOT / "pyproject.toml", "rb") as file:
    repository = tomllib.load(file)["project"]["urls"]["Source"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "figures", "docstrings", "repository_links"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["extensions", "style"]
nitpicky = True
# What docstrings of the API name without a page of its own, in Python's words.
nitpick_ignore_regex = [("py:.*", ".*")]

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
# These pages are read in the repository as well, where a heading may begin at any level.
suppress_warnings = ["myst.header"]

autodoc_member_order = "alphabetical"
autodoc_typehints = "none"

html_theme = "furo"
html_title = f"yibu {release}"
html_static_path = ["style"]
html_css_files = ["yibu.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "source_repository": repository,
    "source_branch": "main",
    "source_directory": "docs/",
    "light_css_variables": {"color-brand-primary": "#c2410c", "color-brand-content": "#c2410c"},
    "dark_css_variables": {"color-brand-primary": "#ff922b", "color-brand-content": "#ff922b"},
}
