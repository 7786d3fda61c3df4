"""One hospital's process: configuration, identity, store, ledger, participant, supervision, HTTP API.

Open `interfaces.py` first: it says what a federation's rules and a participant must offer to run here.
"""
