"""The entrypoints: HTTP, the command line, and the in-process API for other Python programs."""
