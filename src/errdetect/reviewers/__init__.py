"""The people who review: error rates, scorecards, agreement, acceptance sampling."""
