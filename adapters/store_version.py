"""New versions of a store."""

import os
from typing import Final

from core.model.store_version import StoreVersion

_BYTES: Final = 12


def new_version() -> StoreVersion:
    """Return a version that no store ever had.

    It is random, since a number that is counted up would repeat itself in a store that is restored from a backup and
    goes on from there.
    """
    return StoreVersion(os.urandom(_BYTES).hex())
