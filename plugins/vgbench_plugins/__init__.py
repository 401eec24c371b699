"""Built-in sources: one folder each, light to import, heavy work in ``generate.py``."""
