"""Tables that users give to ``vgbench score``: read as text, and refused when they are not what they must be."""

from __future__ import annotations

import csv
import gzip
import json
import pkgutil
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.errors import UsageError, nearest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from vgbench.types import Columns, UserTable

NOTHING = "na"  # a prediction that counts as wrong
MISSING = {"", "nan", "none", "null"}
EMPTY = {"", "nan", "null"}  # of a task's own columns: FOCUS has the location "none"
SHOWN = 3  # names given of each mistake


def usual(path: Path, wanted: str, class_ids: Sequence[str] | None) -> Columns:
    """Read ``sample_id`` and ``wanted`` as arrays of text; refuse what is not a class id for each sample once.

    Predictions keep their ``scores`` (N, C) float64; where they have nothing else, the prediction is the class of the
    highest. Labels may be ``class_ids``, several for each sample; the first is its ``class_id``. They keep their
    further columns, as texts: what a scorer reads besides the class.
    """
    import numpy as np

    table = read(path)
    more: dict[str, Any] = {}
    columns = {name: table[name].to_pylist() for name in ("sample_id", wanted, "label") if name in table.column_names}
    if wanted == "class_id" and "class_id" not in columns and "label" in columns:
        columns["class_id"] = _positions(columns["label"], class_ids, path)
    if wanted == "class_id" and "class_ids" in table.column_names and "sample_id" in columns:
        several = _several(path, columns["sample_id"], table["class_ids"], class_ids)
        more["class_ids"] = np.fromiter(several, object, len(several))
        columns.setdefault("class_id", [names[0] for names in several])
    if wanted == "prediction" and "scores" in table.column_names and "sample_id" in columns:
        ids = [_text(v) for v in columns["sample_id"]]
        more["scores"] = _scores(path, ids, table["scores"], None if class_ids is None else len(class_ids))
        if wanted not in columns and class_ids is not None:
            columns[wanted] = [class_ids[k] for k in more["scores"].argmax(axis=1)]
        elif wanted not in columns:
            _refuse_ids(path, ids)
            return {"sample_id": np.asarray(ids), **more}
    for name in ("sample_id", wanted):
        if name not in columns:
            raise _no_column(path, [name], table)
    ids, values = ([_text(v) for v in columns[name]] for name in ("sample_id", wanted))
    _refuse_ids(path, ids)
    known = set(class_ids or ())  # a class may be called "none"
    empty = [i for i, value in zip(ids, values, strict=True) if value.lower() in MISSING and value not in known]
    hint = f"a sample without a prediction is {NOTHING!r}, and counts as wrong" if wanted == "prediction" else None
    _refuse(path, f"samples have an empty or NaN {wanted}", empty, hint=hint)
    if class_ids is not None:
        refuse_unknown(values, class_ids, path, allow_nothing=wanted == "prediction")
    found = {"sample_id": np.asarray(ids), wanted: np.asarray(values), **more}
    others = set(table.column_names) - {*found, "label"} if wanted == "class_id" else set()
    return {**found, **{name: np.asarray([_text(v) for v in table[name].to_pylist()]) for name in sorted(others)}}


def derived(path: Path, how: UserTable) -> Columns | None:
    """Read what a task's scorer needs, as the task says; None where the table has none of the columns asked for."""
    return _derived(path, how, read(path))


def derived_or_refused(path: Path, how: UserTable) -> Columns:
    """Read as ``derived`` does; refuse a table that has none of the columns, naming the nearest that it has."""
    table = read(path)
    found = _derived(path, how, table)
    if found is None:
        raise _no_column(path, [" + ".join(names) for names in how.columns], table)
    return found


def _derived(path: Path, how: UserTable, table: pa.Table) -> Columns | None:
    import numpy as np

    named = next((names for names in how.columns if set(names) <= set(table.column_names)), None)
    if named is None:
        return None
    if "sample_id" not in table.column_names:
        raise _no_column(path, ["sample_id"], table)
    columns = {name: [_text(v) for v in table[name].to_pylist()] for name in ("sample_id", *named)}
    _refuse_ids(path, columns["sample_id"])
    for name in named:
        empty = [i for i, v in zip(columns["sample_id"], columns[name], strict=True) if v.lower() in EMPTY]
        hint = f"a sample without a prediction is {NOTHING!r}, and counts as wrong" if name == "prediction" else None
        _refuse(path, f"samples have an empty or NaN {name}", empty, hint=hint)
    try:
        found: Columns = pkgutil.resolve_name(how.derive)({name: np.asarray(v) for name, v in columns.items()})
    except UsageError as error:
        raise UsageError(f"{path}: {error.what}", hint=error.hint) from error
    return found


def _no_column(path: Path, wanted: Sequence[str], table: pa.Table) -> UsageError:
    close = nearest(wanted[0], table.column_names) if len(wanted) == 1 else None
    found = f"its columns: {', '.join(map(repr, table.column_names)) or 'none'}"
    asked = " or ".join(map(repr, wanted))
    return UsageError(
        f"{path} has no column {asked}" if len(wanted) == 1 else f"{path} has none of the columns {asked}",
        hint=f"did you mean {close!r}? {found}" if close else found,
    )


def read(path: Path) -> pa.Table:
    """Read a table; a CSV's values are texts."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    kind = path.name.lower().removesuffix(".gz") if path.name.lower().endswith(".csv.gz") else path.name.lower()
    if not kind.endswith((".csv", ".parquet")):
        raise UsageError(f"{path} is neither .csv nor .parquet")
    try:
        table = _parquet(path) if kind.endswith(".parquet") else _csv(path)
    except (OSError, ValueError, EOFError, zlib.error) as error:  # pyarrow's and decoding errors are ValueErrors
        raise UsageError(f"{path} is not readable as {kind.rpartition('.')[2]}: {error}") from error
    doubled = [name for name, count in Counter(table.column_names).items() if count > 1]
    if doubled:
        raise UsageError(f"{path}: column {doubled[0]!r} stands twice")
    return table


def _parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(path)


def _csv(path: Path) -> pa.Table:
    """Read a CSV with every value as text: ids such as 007 keep their zeros."""
    import pyarrow as pa
    import pyarrow.csv as reader

    data = gzip.decompress(path.read_bytes()) if path.name.lower().endswith(".gz") else path.read_bytes()
    names = next(csv.reader(data.partition(b"\n")[0].decode("utf-8-sig").splitlines()), [])
    options = reader.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    # A refusal may end the process while Arrow's own threads still read: then it aborts
    return reader.read_csv(
        pa.BufferReader(data), read_options=reader.ReadOptions(use_threads=False), convert_options=options
    )


def _positions(labels: Iterable[Any], class_ids: Sequence[str] | None, path: Path) -> list[Any]:
    """Return the class ids of label positions; labels that are no whole numbers are class ids already."""
    found = list(labels)
    if not all(_text(label).isdecimal() for label in found):
        return found
    if class_ids is None:
        raise UsageError(f"{path}: labels are positions, but the task declares no class list", hint="give class_id")
    outside = sorted({label for label in map(int, found) if label >= len(class_ids)})
    _refuse(path, f"labels lie outside 0..{len(class_ids) - 1}", [str(label) for label in outside])
    return [class_ids[int(label)] for label in found]


def _several(
    path: Path, ids: Sequence[Any], column: pa.ChunkedArray, class_ids: Sequence[str] | None
) -> list[list[str]]:
    """Return each sample's class ids: a list, or a text a|b."""
    found = [
        [_text(name) for name in (given if isinstance(given, list) else _text(given).split("|"))]
        for given in column.to_pylist()
    ]
    empty = [_text(i) for i, names in zip(ids, found, strict=True) if not names or "" in names]
    _refuse(path, "samples have no class_ids, or an empty one", empty, hint="class_ids: a list, or in a CSV a|b")
    if class_ids is not None:
        refuse_unknown((name for names in found for name in names), class_ids, path, allow_nothing=False)
    return found


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


# ── What is refused ──────────────────────────────────────────────────────────────────────────────


def _refuse_ids(path: Path, ids: Sequence[str]) -> None:
    if not ids:
        raise UsageError(f"{path} has no rows")
    if any(i.lower() in MISSING for i in ids):
        raise UsageError(f"{path}: {sum(i.lower() in MISSING for i in ids)} rows have no sample_id")
    _refuse(path, "sample ids stand more than once", [i for i, count in Counter(ids).items() if count > 1])


def _refuse(path: str | Path, what: str, names: Sequence[str], *, hint: str | None = None) -> None:
    """Refuse a file for ``names``, with their number and the first of them; nothing when there are none."""
    if names:
        more = ", …" if len(names) > SHOWN else ""
        raise UsageError(f"{path}: {len(names)} {what}: {', '.join(names[:SHOWN])}{more}", hint=hint)


def refuse_unknown(
    values: Iterable[str], class_ids: Sequence[str], path: str | Path, *, allow_nothing: bool = True
) -> None:
    known = {*class_ids, NOTHING} if allow_nothing else set(class_ids)
    unknown = [value for value in dict.fromkeys(map(str, values)) if value not in known]
    if not unknown:
        return
    close = nearest(unknown[0], class_ids)
    some = ", ".join(class_ids[:SHOWN]) + (", …" if len(class_ids) > SHOWN else "")
    hint = f"did you mean {close!r}?" if close else f"class ids are {some}"
    _refuse(path, "values are no class ids", unknown, hint=hint)


def refuse_other_samples(predicted: Iterable[str], labelled: Iterable[str], named: str) -> None:
    predicted, labelled = set(map(str, predicted)), set(map(str, labelled))
    missing, extra = sorted(labelled - predicted), sorted(predicted - labelled)
    if not missing and not extra:
        return
    parts = []
    for names, what in ((missing, "have no prediction"), (extra, "are not in the labels")):
        if names:
            parts.append(
                f"{len(names)} samples {what}: {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"
            )
    close = nearest(extra[0], missing) if missing and extra else None
    raise UsageError(
        f"predictions and the labels of {named} name different samples; " + "; ".join(parts),
        hint=f"did you mean {close!r} by {extra[0]!r}?" if close else None,
    )


def _scores(path: Path, ids: Sequence[str], scores: pa.ChunkedArray, n_classes: int | None) -> NDArray[np.float64]:
    """Return scores (N, C); refuse what is not one finite number a class."""
    import numpy as np

    wrong, broken, rows = [], [], []
    for sample, given in zip(ids, scores, strict=True):
        try:
            text = given.as_py() if not hasattr(given, "values") else None  # a CSV's JSON list, or Arrow's own
            values = np.asarray(given.values if text is None else json.loads(text), np.float64)
        except (AttributeError, TypeError, ValueError):
            wrong.append(sample)
            continue
        n_classes = n_classes or len(values)
        if values.shape != (n_classes,):
            wrong.append(sample)
        elif not np.isfinite(values).all():
            broken.append(sample)
        rows.append(values)
    _refuse(path, "samples have a NaN or infinite score", broken)
    hint = f"scores: a list of {n_classes or 'its'} numbers for each sample, in a CSV a JSON list"
    _refuse(path, "samples have no such list of scores", wrong, hint=hint)
    return np.stack(rows) if rows else np.empty((0, n_classes or 0))
