"""The runtime around a replica: engine.py steps it, journal.py makes writes durable, transport.py sends."""
