"""Metrics for Prometheus."""

from adapters.prometheus.board import Board
from adapters.prometheus.exposition import Exposition, bury
from adapters.prometheus.metrics import Metrics, ServerState

__all__ = ["Board", "Exposition", "Metrics", "ServerState", "bury"]
