"""The store under a node: blobs.py opens and serves it, exchange.py asks the other members' gateways."""
