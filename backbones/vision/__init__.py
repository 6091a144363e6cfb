"""Images: how files become pixels, and frozen vision transformers that see under a prefix."""
