"""CometBFT (Tendermint consensus, a descendant of PBFT) behind the same application interface, over ABCI 2.0.

The engine is a program of its own, written in Go, that the node supervises; `.ci/cometbft` builds it.
"""
