"""The policy report: estimates, queue and model results for policy owners."""
