"""The port to the version of what is read."""

from typing import Protocol

from core.model.store_version import StoreVersion


class Snapshot(Protocol):
    """One consistent state of a store."""

    def version(self) -> StoreVersion:
        """Return the version of the store, at nearly no cost.

        Two snapshots with the same version hold the same runs and the same jobs, whichever process committed, and even
        if one is of a copy of the store. A commit that adds, replaces and removes nothing keeps the version. Closing
        and opening the store keeps it too, if the store is durable. Inside a unit of work it is that of the last
        commit.

        Raises:
            StoreError: the store failed.
        """
        ...
