"""Keys, ciphertexts and opened parts as bytes."""
