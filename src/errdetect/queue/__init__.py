"""The queue: the value of a review, and which decisions to review first."""
