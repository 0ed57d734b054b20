"""The client side of the HTTP API: connections, what to retry and when, and what responses mean."""
