"""The report page of each policy, from plain tables."""
