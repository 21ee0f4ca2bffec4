"""The queue: what a review is worth, and which decisions people look at first."""
