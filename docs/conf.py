"""How Sphinx builds the documentation: ``make docs``."""

import tomllib
from pathlib import Path

_pyproject = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))

project = "runsink"
author = "The runsink maintainers"
release = version = _pyproject["project"]["version"]
project_copyright = author

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["monitoring/**"]

nitpicky = True
suppress_warnings = ["misc.highlighting_failure"]  # a quote that goes on after "> " confuses the lexer

html_theme = "furo"
html_title = f"runsink {release}"
html_copy_source = False
html_show_sourcelink = False

myst_heading_anchors = 4

linkcheck_ignore = [r"https?://(127\.0\.0\.1|localhost|[a-z.]*\bexample\b)"]
