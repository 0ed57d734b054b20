"""The pictures of the web page in README and documentation: ``python -m tests.ui.screenshots`` takes them again.

They show the example launch among made ones, at a fixed time, so that they change only with the page.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import attrs

from entrypoints.settings import Settings
from tests.docs.pages import DOCS, ROOT
from tests.servers import Api, running_server
from tests.ui.browsers import PHONE, running_browser, visiting
from tests.ui.launches import END, upload_launches

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER: Final = DOCS / "images"
MOST_BYTES: Final = 200_000
"""The most that a picture may add to the repository."""

_SIZE: Final = (1280, 800)
_COLOURS: Final = 256
_EXAMPLE: Final = ROOT / "examples" / "launch.json"
LAUNCH: Final = "docs-20260131-0900"
CAUSE: Final = f"{LAUNCH}.sign-in.de.gate-glossary"
_NOW: Final[datetime] = END + timedelta(minutes=20)


@attrs.frozen
class Picture:
    """What is opened, what must be there before the picture is taken, and how it looks."""

    address: str
    awaited: str
    scheme: str = "light"
    size: tuple[int, int] = _SIZE


PICTURES: Final[Mapping[str, Picture]] = {
    "launches-light.png": Picture("", ".chart rect"),
    "launches-dark.png": Picture("", ".chart rect", scheme="dark"),
    "launch-light.png": Picture(f"launch?id={LAUNCH}", ".refusals"),
    "launch-phone.png": Picture(f"launch?id={LAUNCH}", ".refusals", size=PHONE),
    "path-light.png": Picture(f"launch?id={LAUNCH}&path=1", ".refusals"),
    "run-dark.png": Picture(f"launch?id={LAUNCH}&run={quote(CAUSE)}", ".panel-head", scheme="dark"),
}
"""By file name."""


@contextmanager
def filled_server(folder: Path) -> Iterator[Api]:
    """Run a server that holds what the pictures show."""
    runs = json.loads(_EXAMPLE.read_text(encoding="utf-8"))["runs"]
    with running_server(Settings(port=0, db=folder / "runs.db", keep_refusals=100)) as api:
        upload_launches(api, end=END - timedelta(hours=5), a_day=11)
        assert api.lenient(runs, Prefer="return=minimal").counts[3] == 6
        yield api


def take(browser: "Browser", url: str, picture: Picture, file: Path) -> None:
    """Write a picture of the page of this server."""
    with visiting(browser, url, size=picture.size, color_scheme=picture.scheme) as visit:
        visit.page.clock.set_fixed_time(_NOW)
        visit.open(picture.address)
        visit.page.wait_for_selector(picture.awaited)
        visit.page.wait_for_load_state("networkidle")
        file.write_bytes(_compressed(visit.page.screenshot(animations="disabled", caret="hide")))


def _compressed(png: bytes) -> bytes:
    """Return the picture with few colours, which is all the page has, in a third of the bytes."""
    from PIL import Image  # noqa: PLC0415 - it may not be installed

    written = BytesIO()
    with Image.open(BytesIO(png)) as picture:
        picture.convert("RGB").quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            written, "PNG", optimize=True
        )
    return written.getvalue()


def main() -> None:
    """Take every picture."""
    with TemporaryDirectory() as folder, filled_server(Path(folder)) as api, running_browser() as browser:
        for name, picture in PICTURES.items():
            take(browser, api.url, picture, FOLDER / name)


if __name__ == "__main__":
    main()
