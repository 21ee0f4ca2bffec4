"""Features: what a model may look at, built by one function for training and scoring."""
