"""Computing on ciphertexts under the keys of one or several owners, with bounds on every error."""
