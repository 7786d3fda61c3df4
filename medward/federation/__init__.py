"""The protocol of a federated round: who commits, shows, checks and opens what, and when."""
