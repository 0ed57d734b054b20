"""The web page on the runs of a server, and how it is served."""
