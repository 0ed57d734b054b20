"""Benchmarks: ``python -m bench``, from the directory of the checkout."""
