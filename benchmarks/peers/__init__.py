"""Other systems that learn new classes, on the same streams and by the same procedure."""
