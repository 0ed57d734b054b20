"""The interfaces that the core requires. Adapters and contract tests are named after the port they implement."""
