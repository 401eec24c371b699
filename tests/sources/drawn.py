"""Files of drawn digits in every layout that a source reads, and the bodies of sources called directly."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vgbench.images import ImageSet, encode_png
from vgbench.locate import Locator
from vgbench.toybox.digits import draw
from vgbench.types import Artifact, Made, Step
from vgbench_plugins.files import indexing

CLASSES = json.loads((Path(__file__).parents[2] / "tasks/vgbench_tasks/digits/classes.json").read_text())["classes"]
NAMES = ["zero", "Digit_1", "2", "three", "digit-4", "FIVE", "six", "seven", "eight", "nine"]  # by id, name, synonym
PARAMS = {"labels": "names", "image": "", "label": "", "id": "", "partial": False, "classes": CLASSES}


def digit_png(digit: int, seed: int = 0) -> bytes:
    return encode_png(draw(digit, np.array([100 * digit + seed], np.uint64))[0])


def digit_folder(root: Path, n: int = 3, names: Iterable[str] = NAMES) -> Path:
    for digit, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for i in range(n):
            (root / name / f"{i}.png").write_bytes(digit_png(digit, i))
    return root


def digit_rows(n: int = 3) -> list[dict[str, Any]]:
    """Rows in no order of class: image, label, and an id."""
    return [
        {"image": {"bytes": digit_png(digit, i), "path": None}, "label": digit, "uid": f"{digit}/{i}"}
        for i in range(n)
        for digit in range(10)
    ]


def write_parquet(path: Path, rows: list[dict[str, Any]], *, names: list[str] | None = None, group: int = 7) -> Path:
    table = pa.Table.from_pylist(rows)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)
    return path


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def digit_members(n: int = 3) -> list[tuple[str, bytes]]:
    return [
        member
        for digit in range(10)
        for i in range(n)
        for member in ((f"{digit}_{i}.png", digit_png(digit, i)), (f"{digit}_{i}.cls", NAMES[digit].encode()))
    ]


def call(body: str | Callable[[Step], Made], path: str | Path, folder: Path, **params: Any) -> Made:
    """Call a source's body on a place as a worker would; what it makes lies in ``folder/out``."""
    for name in ("out", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    given: Mapping[str, Any] = {**PARAMS, "place": Locator().path(str(path)), **params}
    step = Step(
        node="0" * 64,
        params=given,
        inputs={},
        seed=None,
        shard=0,
        out=folder / "out",
        scratch=folder / "scratch",
        device="cpu",
        progress=lambda done, total: None,
        resident=lambda key, make: make(),
        load=lambda part: lambda: None,
    )
    made: Made = (getattr(indexing, body) if isinstance(body, str) else body)(step)
    return made


def opened(folder: Path, place: str | Path) -> ImageSet:
    """Open what ``call`` made as a step's input, with the place where it lies now."""
    member = Artifact("0" * 64, (folder / "out",), place=str(place))
    return ImageSet.open(Artifact("0" * 64, (folder / "out",), members=(member,)))


def by_digit(found: ImageSet) -> dict[int, set[bytes]]:
    """Return each class's encoded images."""
    digits: dict[int, set[bytes]] = {}
    for label, data in zip(found.labels.tolist(), found.encoded(), strict=True):
        digits.setdefault(label, set()).add(data)
    return digits


def drawn(n: int = 3) -> dict[int, set[bytes]]:
    return {digit: {digit_png(digit, i) for i in range(n)} for digit in range(10)}
