"""The ledger beside its alternatives on one machine: PBFT, etcd, CometBFT, proof of work, the same clients."""
