"""Our logistic regression: one basis per feature matrix, a whole path of C, each fit with a certified gap.

    basis = Basis.of(features)                            # once per rows; shared by every C and label vector
    fits = fit_path(basis, labels, n_classes=10, cs=(1e-2, 1.0, 1e2))
    top1 = (fits[1].predict(test_features) == test_labels).mean()

Pure numpy, no I/O. Names are resolved on first use, so importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vgbench.logreg.basis import Basis
    from vgbench.logreg.model import Fit, FitOvr
    from vgbench.logreg.ovr import fit_path_ovr
    from vgbench.logreg.path import fit, fit_path

__all__ = ["Basis", "Fit", "FitOvr", "fit", "fit_path", "fit_path_ovr"]

_HOMES = {
    "Basis": "basis",
    "Fit": "model",
    "FitOvr": "model",
    "fit": "path",
    "fit_path": "path",
    "fit_path_ovr": "ovr",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
