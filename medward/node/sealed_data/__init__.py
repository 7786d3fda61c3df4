"""Sealed data sets at a node: sealing.py seals and opens them, service.py keeps and records them."""
