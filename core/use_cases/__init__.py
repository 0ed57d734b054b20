"""The use cases, one module per family."""
