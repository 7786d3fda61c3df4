"""The audit of a federation without a key. Start with homes.py; findings.py is what it says."""
