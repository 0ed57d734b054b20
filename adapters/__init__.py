"""The technologies around the core, one folder or file each."""
