"""The version of a store."""

from typing import NewType

StoreVersion = NewType("StoreVersion", str)
"""Stands for everything that a store held at one time. Only good to be compared: it has no order."""
