"""The meter of network traffic: packets in, windows of devices out."""
