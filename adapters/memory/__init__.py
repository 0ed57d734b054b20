"""Runs stored in memory, for tests and experiments. Everything is lost when the process ends."""

from adapters.memory.store import MemoryStore

__all__ = ["MemoryStore"]
