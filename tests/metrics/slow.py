"""The bias metrics again, in plain Python loops from their definitions: what the fast ones are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Rows = Sequence[Mapping[str, str]]


def inclination(rows: Rows, k: int) -> dict[str, float | None]:
    """docs/bias.md, cue conflict, from rows with shape, texture, prediction."""
    trials = [r for r in rows if r["shape"] != r["texture"] and r.get("variant", "conflict") == "conflict"]
    s = sum(r["prediction"] == r["shape"] for r in trials)
    t = sum(r["prediction"] == r["texture"] for r in trials)
    m = len(trials)
    found: dict[str, float | None] = dict.fromkeys(["raw", "corrected", "shape", "texture", "decided"])
    if m:
        found |= {"shape": s / m, "texture": t / m, "decided": (s + t) / m}
    if s + t:
        found["raw"] = t / (s + t)
    if m and k > 2:
        e = (1 - s / m - t / m) / (k - 2)
        above_s, above_t = max(0.0, s / m - e), max(0.0, t / m - e)
        if above_s + above_t:
            found["corrected"] = above_t / (above_s + above_t)
    return found


def texture_gap(rows: Rows) -> float | None:
    own = [r["prediction"] == r["shape"] for r in rows if r["variant"] == "own_texture"]
    other = [r["prediction"] == r["shape"] for r in rows if r["variant"] == "other_texture"]
    return sum(own) / len(own) - sum(other) / len(other) if own and other else None


def accuracy(rows: Rows) -> float | None:
    return sum(r["class_id"] == r["prediction"] for r in rows) / len(rows) if rows else None


def context_bias(rows: Rows) -> dict[str, float | None]:
    """docs/bias.md, FOCUS, from rows with class_id, n_uncommon, prediction; nothing withheld but empty partitions."""
    parts = [[r for r in rows if r["n_uncommon"] == str(k)] for k in range(4)]
    acc = [accuracy(part) for part in parts]
    found: dict[str, float | None] = {f"accuracy_p{k}": a for k, a in enumerate(acc)}
    ratios: list[float | None] = [None]
    for a in acc[1:]:
        ratios.append(a / acc[0] if a is not None and acc[0] else None)
    found |= {f"context_bias_{k}": ratios[k] for k in (1, 2, 3)}
    for name, over in (("context_bias_avg", (1, 2, 3)), ("context_bias_12", (1, 2))):
        values = [ratios[k] for k in over]
        found[name] = None if None in values else sum(v for v in values if v is not None) / len(over)
    found["context_bias_12_reweighted"] = None
    weighted = []
    for k in (1, 2):
        shared = sorted({r["class_id"] for r in parts[k]} & {r["class_id"] for r in parts[0]})
        common = rare = 0.0
        for c in shared:
            weight = sum(r["class_id"] == c for r in parts[0])
            common += weight * (accuracy([r for r in parts[0] if r["class_id"] == c]) or 0)
            rare += weight * (accuracy([r for r in parts[k] if r["class_id"] == c]) or 0)
        if not common:
            return found
        weighted.append(rare / common)
    found["context_bias_12_reweighted"] = sum(weighted) / 2
    return found


def background_gap(rows: Rows) -> dict[str, float | None]:
    same, rand = (accuracy([r for r in rows if r["variant"] == v]) for v in ("same", "rand"))
    gap = None if same is None or rand is None else same - rand
    relative = gap / same if gap is not None and same else None
    return {
        "background_gap": gap,
        "background_gap_relative": relative,
        "accuracy_same": same,
        "accuracy_rand": rand,
    }
