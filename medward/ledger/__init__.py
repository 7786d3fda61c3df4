"""An ordered log that survives liars: the application interface, PBFT, and CometBFT behind the same interface.

Open `types.py` first; spec/ledger.md states the protocol.
"""
