"""Content-addressed blobs: named by the hash of their bytes, kept, exchanged and checked."""
