"""Policy room: what the estimates, the queue and the model mean for people who own the rules."""
