"""Whole federations of real nodes on one machine: founding.py makes homes, launcher.py runs them."""
