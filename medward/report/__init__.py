"""Tables, plots and documents that people read."""
