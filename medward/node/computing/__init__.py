"""Parts of a node that scoring encrypted flows and training on encrypted rows have in common."""
