"""The data room: reading, checking and writing tables."""
