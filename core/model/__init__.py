"""Runs, batches, queries and limits: plain values without behaviour."""
