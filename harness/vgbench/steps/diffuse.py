"""Draw images of a class from text: a shard is one micro-batch (or several, where a filter keeps some of them)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vgbench import images
from vgbench.decoding import framed
from vgbench.images import ImageRow, write_shard
from vgbench.inplace import local
from vgbench.steps.encode import Network
from vgbench.steps.encode import opened as opened_encoder
from vgbench.steps.pipeline import TextToImage, open_pipeline
from vgbench.steps.predict import torch_settings
from vgbench.steps.prompt import PROMPTS_FILE
from vgbench.types import Made, Step

# draw(attempt) → the whole micro-batch's pixels (B, 3, H, W) float32, 0 to 1
Draw = Callable[[int], Tensor]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One image that was kept: pixels (3, H, W) uint8, the attempt that made it, and what the checker said."""

    pixels: Tensor
    attempt: int
    flags: tuple[str, ...] = ()


def diffuse(step: Step) -> Callable[[], Made]:
    """Draw, and return what writes ``images.parquet`` with the shard's images of one class.

    Every call of the pipeline has the one shape ``micro_batch``, since kernels round by batch shape; an image's noise
    comes from a generator of its own on the CPU, seeded by (node, index, attempt). A black, constant, not finite or
    (``safety=redraw``) flagged image is drawn again in a batch of the same shape, ``attempts`` times at most; what is
    still faulty is left out. All are counted by reason. With ``keep`` [n, m] each n images are the best of m candidates
    by the encoder's similarity to ``filter_text``.

    Params: ``pipeline`` (place), ``class_id``, ``prompts`` (texts; image i takes the i-th, in turn) or the input of
    that name, ``negative``, ``steps``, ``guidance``, ``size_px`` [height, width] or null, ``dtype``, ``scheduler``,
    ``vae``, ``lora``, ``lora_scale``, ``safety``, ``attempts``, ``codec``, ``micro_batch``, ``compile``, ``threads``.

    Raises:
        ValueError: what ``open_pipeline`` refuses; not enough memory for the micro-batch.
    """
    p = step.params
    size = p["micro_batch"]
    kept, of = p.get("keep") or (1, 1)
    first, n = step.shard * size * of // kept, size * of // kept
    prompts = _prompts(step)
    counts: Counter[str] = Counter()
    with torch_settings(p["threads"], deterministic=step.device == "cpu"), torch.inference_mode():
        source = opened(step)
        candidates: dict[int, Drawn] = {}
        for start in range(first, first + n, size):
            batch = [min(index, first + n - 1) for index in range(start, start + size)]  # the last is filled up
            drawn = settled(
                _drawing(step, source, batch, prompts, done=start - first, total=n),
                lambda pixels: source.flagged(pixels) if p["safety"] != "off" else [False] * len(pixels),
                attempts=p["attempts"],
                redraw_flagged=p["safety"] == "redraw",
                counts=counts,
                n=min(size, first + n - start),
            )
            candidates.update({start + position: one for position, one in drawn.items()})
        chosen = _best(step, candidates, first, kept, of) if kept < of else {i: i for i in candidates}
    if len(chosen) < len(candidates):
        counts["not among the best of the filter"] += len(candidates) - len(chosen)
        candidates = {i: replace(candidates[i], pixels=candidates[i].pixels.clone()) for i in chosen.values()}
    return partial(_written, step, candidates, chosen, prompts, counts)


def _written(
    step: Step, candidates: dict[int, Drawn], chosen: dict[int, int], prompts: Sequence[str], counts: Counter[str]
) -> Made:
    """Encode and write what was drawn: in a thread, while the next micro-batch is."""
    p = step.params
    rows: list[ImageRow] = []
    for index, candidate in chosen.items():
        one = candidates[candidate]
        prompt, seed = prompts[candidate % len(prompts)], step.image_seed(candidate, one.attempt)
        row = written(one, p["class_id"], index, prompt=prompt, seed=seed, data=encoded(one.pixels, p["codec"]))
        if isinstance(row, str):
            counts[row] += 1
        else:
            rows.append(row)
    write_shard(step.out, rows)
    return Made(len(rows), {p["class_id"]: len(rows)}, dict(counts))


def opened(step: Step) -> TextToImage:
    """Open the step's pipeline, or return it as an earlier shard of this worker left it."""
    p = step.params
    names = ("dtype", "scheduler", "compile", "safety")
    vae, lora, scale = p.get("vae"), p.get("lora"), p.get("lora_scale", 1.0)
    places = [place and place.identity for place in (p["pipeline"], vae, lora)]
    key = json.dumps([*places, scale, *(p[name] for name in names), step.device])

    def make() -> TextToImage:
        return open_pipeline(
            local(p["pipeline"].path),
            step.device,
            dtype=p["dtype"],
            scheduler=p["scheduler"],
            vae=vae and local(vae.path),
            lora=lora and local(lora.path),
            lora_scale=scale,
            checked=p["safety"] != "off",
            compiled=p["compile"],
        )

    found: TextToImage = step.resident(f"pipeline/{key}", make)
    return found


def settled(
    draw: Draw,
    flagged: Callable[[Tensor], Sequence[bool]],
    *,
    attempts: int,
    redraw_flagged: bool,
    counts: Counter[str],
    n: int,
) -> dict[int, Drawn]:
    """Draw a micro-batch until its first n images are sound, ``attempts`` times at most; position → image.

    Faulty images are counted by reason, each time; whoever is drawn again is so in a whole batch of the same shape.
    """
    found: dict[int, Drawn] = {}
    waiting = list(range(n))
    for attempt in range(attempts):
        made = draw(attempt)
        pixels = (made * 255).round().clamp(0, 255).nan_to_num().to(torch.uint8)
        flags = flagged(pixels)
        for position in waiting:
            reason = fault(made[position], pixels[position])
            if reason is None and flags[position] and redraw_flagged:
                reason = "flagged by the safety checker"
            if reason is None:
                said = ("flagged by the safety checker",) if flags[position] else ()
                found[position] = Drawn(pixels[position], attempt, said)
            else:
                counts[reason] += 1
        waiting = [position for position in waiting if position not in found]
        if not waiting:
            break
    return dict(sorted(found.items()))


def fault(made: Tensor, pixels: Tensor) -> str | None:
    """Say what is wrong with an image (3, H, W), as the network gave it and as uint8; None for a sound one."""
    if not bool(torch.isfinite(made).all()):
        return "not finite"
    lowest, highest = pixels.amin((1, 2)), pixels.amax((1, 2))
    if int(highest.max()) == 0:
        return "black"
    return "constant" if bool((lowest == highest).all()) else None


def encoded(pixels: Tensor, codec: str) -> bytes:
    """Encode (3, H, W) uint8 as "png" or as "jpeg" of quality 95."""
    array: NDArray[np.uint8] = pixels.permute(1, 2, 0).contiguous().numpy()
    return images.encode_png(array) if codec == "png" else images.encode_jpeg(array)


def written(one: Drawn, class_id: str, index: int, *, prompt: str, seed: int, data: bytes) -> ImageRow | str:
    """Return the row of an image as it was encoded, or why these bytes are no image: what is committed can be read."""
    if reason := images.judge(data).reason:
        return f"not to be read again: {reason}"
    return ImageRow(
        data=data,
        index=index,
        image_id=f"{class_id}/{index:07d}",
        width_px=one.pixels.shape[2],
        height_px=one.pixels.shape[1],
        class_id=class_id,
        prompt=prompt,
        seed=seed,
        attempt=one.attempt,
        flags=one.flags,
    )


def _prompts(step: Step) -> list[str]:
    if "prompts" not in step.inputs:
        return list(step.params["prompts"])
    found: list[str] = json.loads((step.inputs["prompts"].path / PROMPTS_FILE).read_text())["prompts"]
    return found


def _drawing(
    step: Step, source: TextToImage, batch: Sequence[int], prompts: Sequence[str], *, done: int, total: int
) -> Draw:
    p = step.params
    texts = [prompts[index % len(prompts)] for index in batch]
    known: dict[str, Any] = step.resident("prompts", dict)  # of one class, which is one node: not of all that were
    if known.setdefault("", step.node) != step.node:
        known.clear()
        known[""] = step.node
    for text in texts:
        if text not in known:
            known[text] = source.embedded(text, negative=p["negative"], guidance=p["guidance"])

    def draw(attempt: int) -> Tensor:
        try:
            return source.draw(
                [known[text] for text in texts],
                texts,
                [step.image_seed(index, attempt) for index in batch],
                negative=p["negative"],
                guidance=p["guidance"],
                steps=p["steps"],
                size=p["size_px"] and tuple(p["size_px"]),
                progress=lambda at: step.progress(done + len(batch) * at // p["steps"], total),
            )
        except torch.OutOfMemoryError as error:
            raise ValueError(
                f"not enough memory on {step.device} for micro_batch={p['micro_batch']}: take a smaller one; "
                "it is another recipe, and makes other images"
            ) from error

    return draw


def _best(step: Step, candidates: dict[int, Drawn], first: int, kept: int, of: int) -> dict[int, int]:
    """Choose of each block of ``of`` candidates the ``kept`` nearest to the text: index of an image → its candidate."""
    network: Network = opened_encoder(step)
    text = torch.from_numpy(_unit(np.asarray(network.texts([step.params["filter_text"]]).float().cpu())))  # type: ignore[attr-defined]  # planned with one
    scores: dict[int, float] = {}
    for index, one in candidates.items():  # one by one: of one shape, whatever was left out
        shown = framed(one.pixels.permute(1, 2, 0).contiguous().numpy(), network.preprocessing)[None]
        feature = functional.normalize(network.images(shown.to(step.device)).float().cpu(), dim=-1)
        scores[index] = float(feature @ text.T)
    chosen: dict[int, int] = {}
    block_of = first // of
    for block in range(block_of, block_of + step.params["micro_batch"] // kept):
        members = [index for index in range(block * of, (block + 1) * of) if index in scores]
        best = sorted(sorted(members, key=lambda index: (-scores[index], index))[:kept])
        chosen.update({block * kept + rank: index for rank, index in enumerate(best)})
    return chosen


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
