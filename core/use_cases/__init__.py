"""What the product does, one module a family of use cases."""
