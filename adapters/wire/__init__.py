"""The JSON of the contract, converted to the core's values and back.

``structure`` takes plain Python values and reports every error (cattrs); ``decode`` reads bytes, fast if they are
valid (msgspec) and through ``structure`` if not; ``encode`` writes bytes; ``query`` reads query strings.
"""
