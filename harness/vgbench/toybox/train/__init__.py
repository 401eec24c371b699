"""Training Toybox's foundation models: ``python -m vgbench.toybox.train clip``. Their weights lie in the package."""
