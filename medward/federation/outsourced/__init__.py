"""Training on encrypted rows that other members compute with."""
