"""A site comes to a running distribution, or leaves it."""
