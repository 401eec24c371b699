"""Metrics in pure numpy; ``run``, ``score`` and ``verify`` share them."""
