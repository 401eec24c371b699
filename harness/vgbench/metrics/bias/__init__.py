"""Bias metrics: what does a network look at? Textures (cue conflict), contexts (FOCUS), backgrounds (ImageNet-9).

Each scorer takes a network's answers and a table of the factors of each test image. Pure numpy, no randomness but
bootstraps that are seeded by the counts themselves. What they report is declared in ``vgbench.metrics.declared``.
See docs/bias.md.
"""

from __future__ import annotations

from vgbench.metrics.bias.backgrounds import background_gap
from vgbench.metrics.bias.contexts import context_bias
from vgbench.metrics.bias.flips import flips
from vgbench.metrics.bias.floor import reason_at_floor
from vgbench.metrics.bias.textures import cue_conflict

__all__ = ["background_gap", "context_bias", "cue_conflict", "flips", "reason_at_floor"]
