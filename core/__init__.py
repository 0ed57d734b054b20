"""The domain: runs, batches and their rules. It does no I/O and has no clock of its own."""
