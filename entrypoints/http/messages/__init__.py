"""HTTP messages: bodies, header fields, content codings, errors."""
