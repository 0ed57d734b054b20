"""What a run is, what a batch is, and what may happen to them. No input, no output, no clock of its own."""
