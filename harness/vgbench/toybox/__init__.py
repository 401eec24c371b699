"""Toybox, the embedded world: images drawn by code from factors that are dials. Import its modules by name."""
