"""Calibration: are the bias metrics what they say? Answered on Toybox, where the biases are dials (design §5)."""
