"""A node of a federation that scores encrypted flows."""
