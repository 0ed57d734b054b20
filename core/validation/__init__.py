"""The validation rules for input, each defined once."""
