"""A node's disk: folder.py lists what lies there; configuration.py and federation_file.py are what the node is told."""
