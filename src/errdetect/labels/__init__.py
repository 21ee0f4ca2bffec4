"""Reviews become labels: what is known about a decision, since when, and how far to trust it."""
