"""The durable queue of a client: what is not delivered yet, in a file of its own."""
