"""Seven-segment digits as a vgbench source: what it offers. The work is in ``generate.py``."""

from vgbench import CannotServe, Option, Sees, SourceSpec, StepRef, hookimpl

LIGHT = StepRef("vgbench-acme.light", "1", "vgbench_acme.generate:light", seed="source", shards="index:micro_batch")
SHIFT = Option("shift_px", "int", 3, "largest shift of the display", minimum=0)
MICRO_BATCH = Option("micro_batch", "int", 64, "images in a shard", minimum=1)


def draw(g, entry, request, options):
    if not entry.id.startswith("digit-"):
        raise CannotServe(f"seven segments cannot show {entry.name!r}")
    return g.node(LIGHT, params={"digit": int(entry.id[-1]), **options})


@hookimpl
def vgbench_offer_sources():
    sees = Sees("class names")
    yield SourceSpec("acme", "seven-segment digits", "rendered", sees, draw, options=(SHIFT, MICRO_BATCH))
