"""The simulated marketplace; the entry point is `errdetect.simulation.marketplace`."""
