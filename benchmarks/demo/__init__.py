"""A demo on real images that needs no network: handwritten digits, learnt two at a time."""
