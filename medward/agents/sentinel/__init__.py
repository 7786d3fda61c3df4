"""Sentinel: network.py is the agent, learner.py trains it, model.py keeps it, scorer.py decides."""
