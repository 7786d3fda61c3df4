"""The model that hospitals make together: shared_model.py advances it, hospital.py works for it."""
