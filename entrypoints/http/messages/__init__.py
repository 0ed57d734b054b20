"""Requests and responses as messages: bodies, header fields, codings, errors."""
