"""The detector of copies, on images that its threshold was not chosen on; and what `select` leaves out by it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits, load_sample_images

from vgbench.copies import CROPS, SIMILARITY, Prints, copies, fingerprint, similarity
from vgbench.images import ImageRow, encode_png, write_shard
from vgbench.steps.fingerprint import fingerprint_images
from vgbench.steps.select import select
from vgbench.toybox import downstream, web
from vgbench.types import Artifact, Step

LEAST = 0.97
# What the first run of this test found below that, and docs/retrieval.md says: skies that are blown out are gone.
FOUND = {("photographs", "brighter"): 0.9}
FIRST_UNSEEN = 20  # of a class; the threshold was chosen on the first 20


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue()))


def cut(image: Image.Image, share: float) -> Image.Image:
    x, y = share * image.width, share * image.height
    return image.crop((round(x), round(y), round(image.width - x), round(image.height - y)))


STORED_OTHERWISE: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg": lambda image: jpeg(image, 30),
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "double": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "flat": lambda image: image.resize((image.width, image.height * 4 // 5)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.4),
    "paler": lambda image: ImageEnhance.Color(image).enhance(0.6),
    "margin of 4 %": lambda image: cut(image, 0.04),
    "margin of 8 %": lambda image: cut(image, 0.08),
}


def scenes(name: str, n: int = 4) -> list[Image.Image]:
    """Return test images of a downstream set, n of each class, that come after those of the choice."""
    classes = len(downstream.DOWNSTREAM[name].class_names)
    found = downstream.downstream(name, "test", FIRST_UNSEEN + n)
    rows = slice(FIRST_UNSEEN * classes, (FIRST_UNSEEN + n) * classes)
    return [Image.fromarray(pixels) for pixels in found.pixels(size_px=64, rows=rows)]


def photographs() -> list[Image.Image]:
    """Return 40 pieces of scikit-learn's two photographs."""
    found = []
    for pixels in load_sample_images().images:
        for i in range(20):
            y, x = 40 * (i % 5), 100 * (i // 5)
            found.append(Image.fromarray(pixels[y : y + 200, x : x + 220]))
    return found


def prints(images: Sequence[Image.Image]) -> Prints:
    return np.stack([fingerprint(image) for image in images])


@pytest.mark.parametrize("way", STORED_OTHERWISE)
@pytest.mark.parametrize("kind", ["scenes", "photographs", "digits"])
def test_pictures_stored_otherwise_are_copies(kind: str, way: str) -> None:
    if kind == "digits":
        found = [Image.fromarray((d * 15).astype(np.uint8)).resize((32, 32)) for d in load_digits().images[:60]]
    else:
        found = photographs() if kind == "photographs" else [*scenes("tools"), *scenes("fishes"), *scenes("coats")]
    again = prints([STORED_OTHERWISE[way](image) for image in found])
    alike = np.diag(similarity(again, prints(found)))
    assert np.mean(alike >= SIMILARITY) >= FOUND.get((kind, way), LEAST), f"{np.sort(alike)[:4]}"


def test_other_scenes_are_no_copies() -> None:
    """Of 2,000 pages and 152 test images of objects in scenes; sets of bare patterns are alike and not counted."""
    known = prints([image for name in ("tools", "creatures", "stars", "leaves", "fishes") for image in scenes(name)])
    found = prints([Image.fromarray(pixels) for pixels in web.pages(2_000, first=50_000_000).pixels()])
    assert copies(found, known).mean() <= 0.002
    own = similarity(known, known)
    np.fill_diagonal(own, 0)
    assert (own >= SIMILARITY).any(axis=1).mean() <= 0.02


def test_another_view_of_a_scene_is_no_copy() -> None:
    """Half of it, other colours, a mirror (but for scenes that look like their mirror image)."""
    seen = [*scenes("tools"), *scenes("fishes")]
    known = prints(seen)

    def alike(view: Callable[[Image.Image], Image.Image]) -> float:
        return float(np.mean(np.diag(similarity(prints([view(image) for image in seen]), known)) >= SIMILARITY))

    assert alike(lambda image: cut(image, 0.25)) == 0
    assert alike(lambda image: Image.fromarray(np.asarray(image)[..., [1, 2, 0]])) == 0
    assert alike(lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) < 0.1


def test_an_image_of_one_value_is_like_none() -> None:
    grey = prints([Image.new("L", (20, 30), 128)])
    assert grey.shape == (1, len(CROPS), 768)
    assert similarity(grey, grey)[0, 0] == 0 and not copies(grey, grey)[0]


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    known, found = prints(scenes("tools", 2)), prints([*scenes("tools", 1), *scenes("stars", 1)])
    whole = copies(found, known)
    monkeypatch.setattr("vgbench.copies.BLOCK", 3)
    assert copies(found, known).tolist() == whole.tolist() == [True] * 10 + [False] * 6


# ── What `select` leaves out ─────────────────────────────────────────────────────────────────────


def step(out: Path, inputs: dict[str, Artifact], **params: object) -> Step:
    out.mkdir(parents=True)
    return Step(
        node="ab" * 32,
        params=params,
        inputs=inputs,
        seed=None,
        shard=0,
        out=out,
        scratch=out,
        device="cpu",
        progress=lambda done, total: None,
        resident=lambda key, make: make(),
        load=lambda part: part,  # type: ignore[arg-type,return-value]  # no part is loaded
    )


def shard(folder: Path, images: Sequence[bytes], class_id: str | None) -> Artifact:
    folder.mkdir(parents=True)
    rows = [ImageRow(data, i, f"{folder.name}/{i}", 64, 64, class_id) for i, data in enumerate(images)]
    write_shard(folder, rows)
    return Artifact(folder.name, (folder,))


def test_select_leaves_out_what_looks_like_an_excluded_image(tmp_path: Path) -> None:
    test = scenes("tools", 1)
    others = scenes("stars", 2)

    def stored(image: Image.Image, **how: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **how)  # type: ignore[arg-type]  # Pillow's own words
        return buffer.getvalue()

    own = [encode_png(np.asarray(image)) for image in others]
    copied = [stored(test[3], quality=60), encode_png(np.asarray(test[4]))]
    found = shard(tmp_path / "found", [own[0], copied[0], own[1], copied[1], own[2]], "star")
    known = shard(tmp_path / "known", [encode_png(np.asarray(image)) for image in test], None)
    made = [tmp_path / "prints", tmp_path / "known-prints"]
    fingerprint_images(step(made[0], {"member": Artifact("m", (), members=(found,))}))
    fingerprint_images(step(made[1], {"images": known}))
    inputs = {"member": Artifact("m", (), members=(found,)), "exclude": Artifact("e", (), members=(known,))}

    def chosen(out: Path, **more: Artifact) -> tuple[list[str], dict[str, int]]:
        answer = select(step(out, {**inputs, **more}, class_ids=["star"], images_per_class=4))
        return pq.read_table(out / "index.parquet")["image_id"].to_pylist(), dict(answer.rejected)

    by_looks = {
        "prints": Artifact("p", (made[0],)),
        "exclude_prints": Artifact("q", (), members=(Artifact("k", (made[1],)),)),
    }
    reason = "copy of an excluded image"
    assert chosen(tmp_path / "a") == (["found/0", "found/1", "found/2", "found/4"], {reason: 1})  # equal bytes alone
    assert chosen(tmp_path / "b", **by_looks) == (["found/0", "found/2", "found/4"], {reason: 2})
