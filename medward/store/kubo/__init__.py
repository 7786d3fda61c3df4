"""A real Kubo daemon behind the interface of the embedded store."""
