"""The processes of one server."""
