"""Comparisons of methods, seed by seed: study.py on rows, watch_study.py over time, side_by_side.py runs them."""
