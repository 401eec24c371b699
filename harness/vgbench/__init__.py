"""vgbench measures data sources: what does a vision model learn when its training images come from this source?

Everything a plugin needs is importable from here, without torch, numpy or pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vgbench.errors import CannotServe, UsageError, VgbenchError
from vgbench.hookspecs import hookimpl
from vgbench.types import (
    Artifact,
    Backbone,
    ClassEntry,
    ClassList,
    ClassListSpec,
    DataRequest,
    Dataset,
    DatasetSpec,
    Graph,
    Head,
    Images,
    Input,
    Interval,
    Made,
    Metric,
    Node,
    Option,
    Part,
    Place,
    Rate,
    Scored,
    Scores,
    Sees,
    SeesLevel,
    SourceSpec,
    Split,
    Step,
    StepRef,
    SuiteSpec,
    TaskSpec,
    UserTable,
    Value,
    WeightsSpec,
)

if TYPE_CHECKING:
    from vgbench.runs import load_run, plan

__version__ = "0.1.0.dev0"

_LATE = {"plan": "vgbench.runs", "load_run": "vgbench.runs"}  # they bring pydantic, which no plugin needs


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'vgbench' has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)


__all__ = [
    "Artifact",
    "Backbone",
    "CannotServe",
    "ClassEntry",
    "ClassList",
    "ClassListSpec",
    "DataRequest",
    "Dataset",
    "DatasetSpec",
    "Graph",
    "Head",
    "Images",
    "Input",
    "Interval",
    "Made",
    "Metric",
    "Node",
    "Option",
    "Part",
    "Place",
    "Rate",
    "Scored",
    "Scores",
    "Sees",
    "SeesLevel",
    "SourceSpec",
    "Split",
    "Step",
    "StepRef",
    "SuiteSpec",
    "TaskSpec",
    "UsageError",
    "UserTable",
    "Value",
    "VgbenchError",
    "WeightsSpec",
    "hookimpl",
    "load_run",
    "plan",
]
