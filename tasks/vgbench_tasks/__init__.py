"""Built-in protocols: one folder each, the real task and its Toybox twin from one graph."""
