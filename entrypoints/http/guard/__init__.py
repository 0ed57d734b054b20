"""Access control: tokens, origins and rate limits."""
