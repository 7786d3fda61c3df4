"""Commands of federations that compute on ciphertexts; `member.py` is what they have in common."""
