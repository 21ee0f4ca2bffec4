"""Models: split by time, tune, fit, calibrate, evaluate, gate, store."""
