"""What can be set, under one name each for the command line, the environment and the configuration file."""

from pathlib import Path

import attrs
import typed_settings as ts
from attrs.validators import ge, in_, le


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of one server. Option ``--name``, variable ``RUNSINK_NAME``, TOML key ``name``."""

    host: str = ts.option(default="127.0.0.1", help="Address to listen on.")
    port: int = ts.option(default=8765, validator=[ge(0), le(65535)], help="Port to listen on; 0 takes a free one.")
    db: Path = ts.option(default=Path("./runsink.db"), help="SQLite file that keeps the runs; created if missing.")
    partial_status: int = ts.option(
        default=500, validator=in_((500, 207)), help="Status of a lenient upload of which some runs failed: 500 or 207."
    )
