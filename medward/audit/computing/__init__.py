"""The audit of federations whose members compute on ciphertexts: everybody can compute again what they handed in.

Start with federation.py; batches.py is of encrypted scores, tasks.py of training on encrypted rows.
"""
