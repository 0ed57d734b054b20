"""The ways in: HTTP, the command line, and the in-process door for other Python tools."""
