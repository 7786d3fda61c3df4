"""Federating any network of flat weights: what the members share of it, and a hospital's private side."""
