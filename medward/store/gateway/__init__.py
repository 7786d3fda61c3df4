"""Exchange of blocks between members over the IPFS Trustless Gateway interface."""
