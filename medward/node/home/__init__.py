"""What a node has on its disk: folder.py lists it; configuration.py and federation_file.py are what it is told."""
