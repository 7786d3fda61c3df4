"""A node of a federation that trains on encrypted rows."""
