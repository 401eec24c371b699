"""Another source that calls itself ``acme``: white noise."""

from vgbench import Made, Option, Sees, SourceSpec, StepRef, hookimpl

NOISE = StepRef("vgbench-rival.light", "1", "vgbench_rival:noise", seed="source", shards="index:micro_batch")


def draw(g, entry, request, options):
    return g.node(NOISE, params={"digit": int(entry.id[-1]), **options})


@hookimpl
def vgbench_offer_sources():
    shift = Option("shift_px", "int", 3, "ignored")
    micro_batch = Option("micro_batch", "int", 64, "images in a shard", minimum=1)
    yield SourceSpec("acme", "white noise", "rendered", Sees("class names"), draw, options=(shift, micro_batch))


def noise(step):
    import numpy as np

    from vgbench.images import ImageRow, encode_png, write_shard

    rows = []
    for index in step.range(step.params["micro_batch"]):
        pixels = np.random.default_rng(step.image_seed(index)).integers(0, 256, (32, 32), np.uint8)
        rows.append(ImageRow(encode_png(pixels), index, f"{step.params['digit']}-{index}", 32, 32))
    write_shard(step.out, rows)
    return Made(len(rows))
