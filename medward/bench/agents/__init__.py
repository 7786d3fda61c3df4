"""Sentinel beside eager PyTorch and stable-baselines3."""
