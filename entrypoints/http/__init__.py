"""The HTTP API of the contract, on aiohttp."""
