"""Connections, and where one message ends and the next begins."""
