"""A whole federation in one process, for comparison and tests; training.py runs it to its end."""
