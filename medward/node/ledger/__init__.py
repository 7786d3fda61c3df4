"""The ledger under a node: pbft.py and cometbft.py run an engine, submitter.py hands transactions in."""
