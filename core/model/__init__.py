"""What a run is, what a batch is, and what may be asked of them: values without behaviour of their own."""
