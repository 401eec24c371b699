"""Which libraries steps need beyond the base dependencies, and whether they are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from vgbench.errors import CannotServe
from vgbench.types import StepRef

# The extra that brings a library.
_EXTRAS = {
    "torch": "torch",
    "diffusers": "diffusion",
    "open_clip": "clip",
    "transformers": "clip",
    "sentencepiece": "clip",
    "google.protobuf": "clip",
    "faiss": "retrieval",
    "peft": "lora",
    "optuna": "trex",
    "sklearnex": "trex-intel",
}


def refuse_missing_libraries(steps: Iterable[StepRef]) -> None:
    """Raise ``CannotServe`` where a step needs a library that is not installed; no library is imported to find out."""
    needed = {step.needs: step.id for step in steps}
    for libraries, step in needed.items():
        missing = [name for name in libraries if not _is_installed(name)]
        extras = dict.fromkeys(extra for name, extra in _EXTRAS.items() if name in missing)
        if missing:
            raise CannotServe(
                f"step {step} needs {', '.join(missing)}, not installed here",
                hint=f"pip install 'vgbench[{','.join(extras)}]'" if extras else f"pip install {' '.join(missing)}",
            )


def _is_installed(library: str) -> bool:
    """Look for a module; of one in a package, such as google.protobuf, the package is imported by that."""
    try:
        return importlib.util.find_spec(library) is not None
    except ModuleNotFoundError:  # not even the package is there
        return False
