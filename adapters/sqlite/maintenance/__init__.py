"""Check, copy and restore a store file, while servers use it or not."""

from adapters.sqlite.maintenance.backup import back_up, restore
from adapters.sqlite.maintenance.check import check_file

__all__ = ["back_up", "check_file", "restore"]
