"""Alerts: a trained Sentinel watches windows of devices, buys evidence where it must, and calls for an analyst."""
