"""Error models: time splits, tuning, fitting, calibration, evaluation, gate, registry."""
