"""Payload: how it is summed packet by packet, and how its evidence is bought. Open inspection.py first."""
