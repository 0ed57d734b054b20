"""Check, copy and restore a store file, while servers use it or not."""

from adapters.sqlite.maintenance.backup import CopyProgress, back_up, restore
from adapters.sqlite.maintenance.check import check_file
from adapters.sqlite.maintenance.errors import WrongFileError

__all__ = ["CopyProgress", "WrongFileError", "back_up", "check_file", "restore"]
