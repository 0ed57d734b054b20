"""Connections and message framing."""
