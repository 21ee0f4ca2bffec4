"""errdetect: which automated moderation decisions are wrong, and what to change."""

__version__ = "0.1.0"
