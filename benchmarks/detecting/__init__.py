"""What benchmarks/detection.py is made of."""
