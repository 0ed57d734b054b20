"""What the core needs of the world. An adapter and its contract test carry the name of the port they fill."""
