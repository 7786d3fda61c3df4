"""Sentinel in closed form: one regression, and no training in rounds. Start with features.py and model.py."""
