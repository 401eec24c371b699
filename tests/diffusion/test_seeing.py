"""What a row says of a generator: what it was shown, whose licence it has, what taught it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vgbench.errors import UsageError
from vgbench.registry import Registry
from vgbench.types import SourceSpec


def sd(**options: str) -> SourceSpec:
    return Registry().source("sd" + ":" * bool(options) + ",".join(f"{k}={v}" for k, v in options.items())).spec


def test_named_models_saw_class_names_and_say_what_taught_them() -> None:
    for model, taught, licence in (("sd-1.5", "LAION", "OpenRAIL"), ("toybox", "Toybox's web", "Apache")):
        spec = sd(model=model)
        assert spec.sees.level == "class names"
        assert taught in spec.generator_training_data and licence in spec.license
    assert "LAION" not in sd(model="toybox").generator_training_data


def test_a_generator_of_ones_own_may_have_seen_all_unless_it_is_said(tmp_path: Path) -> None:
    """GenRobust's was fine-tuned on ImageNet: it must not stand among those that were given names alone."""
    for given in ({"path": str(tmp_path)}, {"lora": str(tmp_path)}):
        spec = sd(**given)
        assert spec.sees.level == "full labelled set" and spec.generator_training_data.startswith("unknown")
        assert sd(**given, shown="references").sees.level == "k references per class"
        assert sd(**given, shown="names").sees.level == "class names"


def test_what_a_named_model_saw_is_not_for_the_user_to_say() -> None:
    with pytest.raises(UsageError, match="shown=names is said of path= or lora="):
        sd(model="sd-1.5", shown="names")
