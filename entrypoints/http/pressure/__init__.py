"""What bounds the work that is in flight."""
