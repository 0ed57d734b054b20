"""Texts that a run may hold and that a page has to bear."""

from typing import Final

HOSTILE: Final = (
    "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>",
    "</bdi></span></template></script><h1>out</h1>",
    "javascript:alert(1)",
    "safe\u202e\u2066gpj.exe\u2069\u202dtext\u200f",
    "שלום עולם مرحبا بالعالم",
    "👩‍👩‍👧‍👦" * 200,
    "W" + "\u0300" * 500,
    "__proto__",
    "line\n" * 500,
    "W" * 100_000,
)
