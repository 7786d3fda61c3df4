"""medward as a library: each function that `import medward` offers, and the classes that they take and return.

The names are looked up when they are first used (medward/__init__.py), so that `import medward` costs nothing.
"""
