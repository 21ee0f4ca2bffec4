"""The simulated marketplace, part by part; `errdetect.simulation.marketplace` is its door."""
