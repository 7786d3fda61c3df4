"""Sums of integers over a cohort. Start with interface.py; encrypted.py and plain.py are the two ways to sum."""
