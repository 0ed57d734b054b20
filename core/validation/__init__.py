"""The rules of the values that come in, each once."""
