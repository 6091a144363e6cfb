"""How one pass through a transformer follows a context: prefixes, routing, pooling. Torch."""
