"""The simulated marketplace, part by part; `errdetect.data.simulate` is its door."""
