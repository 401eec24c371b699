"""vgbench measures data sources: what does a vision model learn when its training images come from this source?

Everything a plugin needs is importable from here, without torch, numpy or pydantic.
"""

from __future__ import annotations

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
    SourceSpec,
    Split,
    Step,
    StepRef,
    SuiteSpec,
    TaskSpec,
    Value,
    WeightsSpec,
)

__version__ = "0.1.0.dev0"

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
    "SourceSpec",
    "Split",
    "Step",
    "StepRef",
    "SuiteSpec",
    "TaskSpec",
    "UsageError",
    "Value",
    "VgbenchError",
    "WeightsSpec",
    "hookimpl",
]
