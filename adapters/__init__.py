"""The technologies around the core, one package or module each."""
