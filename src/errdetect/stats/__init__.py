"""Statistics that every room may use, each computed in one place."""
