"""Features: one function builds them for training and for scoring."""
