"""The version of the store where servers share a slot."""

import pytest

from entrypoints.databases import open_database
from tests.contract.samples import assert_versions_tell_apart


def test_servers_with_the_same_slot_keep_versions_apart(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They write the same row, one after the other, and no version stands for two states."""
    monkeypatch.setattr("adapters.postgres.store.randbelow", lambda _: 7)
    stores = [open_database(postgres_url) for _ in range(3)]
    assert_versions_tell_apart(stores)
    for store in stores:
        store.close()
