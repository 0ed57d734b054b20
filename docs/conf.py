"""How Sphinx builds the documentation: ``make docs``."""

from importlib.metadata import version as version_of

project = "runsink"
author = "The runsink maintainers"
release = version = version_of("runsink")
project_copyright = author

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["monitoring/**"]

nitpicky = True
suppress_warnings = ["misc.highlighting_failure"]  # outputs are cut with "..."

html_theme = "furo"
html_title = f"runsink {release}"
html_copy_source = False
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

linkcheck_ignore = [r"https?://(127\.0\.0\.1|localhost|[a-z.]*\bexample\b)"]
