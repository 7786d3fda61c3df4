"""Commands that read packets."""
