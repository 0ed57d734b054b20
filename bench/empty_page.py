"""``runsink serve`` whose web page is empty: the baseline of what the page costs a browser, served alike."""

from collections.abc import Sequence
from typing import Final

from entrypoints.cli.commands.serve import serve
from entrypoints.http.ui import page

_EMPTY: Final = (
    b'<!DOCTYPE html><html lang="en"><link rel="icon" href="assets/icon.svg"><title>runsink</title><p>empty</html>'
)
"""Something has to be painted, and the icon spares the browser a guess."""


def serve_empty_page(options: Sequence[str]) -> None:
    """Serve with these options until SIGTERM."""
    read_asset = page.read_asset
    page.read_asset = lambda asset: _EMPTY if asset[0].name == "index.html" else read_asset(asset)
    serve(args=list(options), prog_name="runsink serve")
