"""The picture of a correlation: one scatter for each data set, a figure against the linear probe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from vgbench import UsageError
from vgbench.results import Correlation
from vgbench_leaderboard.aggregate.figures import row_source

ACROSS = 4  # panels side by side
PANEL_INCHES = 2.6


def draw(points: Mapping[str, Sequence[tuple[str, float, float]]], found: Correlation, path: Path) -> None:
    """Write a PNG: (row, figure, target) of each data set, fractions, coloured by source, with Spearman's ρ above.

    Raises ``UsageError`` where matplotlib is not installed, or the file cannot be written.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise UsageError("a picture needs matplotlib", hint="pip install 'vgbench[bench]'") from None
    mpl.use("agg")
    from matplotlib import pyplot as plt

    sources = sorted({row_source(row) for of in points.values() for row, _, _ in of})
    across, down = min(ACROSS, len(points)), math.ceil(len(points) / ACROSS)
    with plt.style.context("default"):
        figure, axes = plt.subplots(
            down, across, figsize=(PANEL_INCHES * across, PANEL_INCHES * down), layout="constrained", squeeze=False
        )
        for axis in axes.flat[len(points) :]:
            axis.set_axis_off()
        for axis, (dataset, of) in zip(axes.flat, points.items(), strict=False):
            for k, source in enumerate(sources):
                some = [(x, y) for row, x, y in of if row_source(row) == source]
                axis.plot(
                    [x for x, _ in some], [y for _, y in some], ".", markersize=5, color=f"C{k % 10}", label=source
                )
            rho = found.by_set.get(dataset)
            axis.set_title(f"{dataset}\nρ = {'–' if rho is None else f'{rho:.2f}'}", fontsize=8)
            axis.tick_params(labelsize=7)
        axes.flat[0].legend(fontsize=7)
        figure.supxlabel(f"{found.figure} {found.encoder}".strip(), fontsize=9)
        figure.supylabel(f"{found.target} {found.target_encoder}".strip(), fontsize=9)
        try:
            figure.savefig(path, dpi=110, metadata={"Software": None})
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from error
        finally:
            plt.close(figure)
