"""The store beside SHA-256, a plain copy and Kubo."""
