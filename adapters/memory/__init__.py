"""Runs kept in memory, for tests and for trying things out: everything is gone when the process ends."""

from adapters.memory.store import MemoryStore

__all__ = ["MemoryStore"]
