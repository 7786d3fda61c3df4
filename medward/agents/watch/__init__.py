"""Sentinel over time: one device's stream, an analyst's queue, evidence that stays for a while, the price of delay."""
