"""The outbox file of Local Telemetry clients: requests that wait for a server, one JSON object a line."""
