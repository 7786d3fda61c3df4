"""Computing on ciphertexts, as members do it: what outlives a process."""
