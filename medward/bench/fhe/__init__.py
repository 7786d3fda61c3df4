"""Encrypted sums beside SEAL, TenSEAL, OpenFHE, Paillier, RSA, ElGamal and AES."""
