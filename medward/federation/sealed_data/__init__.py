"""Sealed data sets: format.py seals and opens them, rules.py is what the ledger records of them."""
