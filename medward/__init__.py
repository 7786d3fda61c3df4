"""Hospitals train one intrusion detector for medical devices together, without a central server."""

__version__ = "0.1.0"
