"""Classifiers that Sentinel is compared with, on the same rows, tuned on the same validation rows."""
