"""Sentinel, the deep-Q agent at a hospital's gateway: what it decides in, how it learns, how it is judged."""
