"""Measurements of each part beside its alternatives; rows.py is the form in which all print their figures."""
