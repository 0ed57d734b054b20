"""The JSON wire: what the contract writes, as the core's values, and back.

``structure`` takes plain Python values and names every fault (cattrs); ``decode`` reads bytes, fast where all is
well and through ``structure`` where it is not (msgspec); ``encode`` writes bytes; ``query`` reads query strings.
"""
