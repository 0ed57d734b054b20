"""Spans of OpenTelemetry (OTLP/HTTP 1.x) as runs.

``protobuf`` and ``json`` decode a request to the same plain values, those of ``spans``. ``mapping`` makes candidates of
them by a table, ``content`` drops what people and models said, ``shortening`` what is too long, ``slices`` puts them
together. ``responses`` writes what the sender is told.
"""
