"""Plugins: a broken one is named and stops nobody; a doubtful name is refused when it is asked for."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from vgbench import hookspecs
from vgbench.errors import UsageError
from vgbench.registry import Registry, parse_class_list, split_asked

GOOD = """
from vgbench import SourceSpec, Sees, hookimpl
@hookimpl
def vgbench_offer_sources():
    yield SourceSpec(name={name!r}, summary="s", kind="rendered", sees=Sees("class names"), class_graph=print)
"""
BROKEN = {
    "import": "import a_package_that_nobody_has",
    "misspelt_hook": "from vgbench import hookimpl\n@hookimpl\ndef vgbench_offer_sorces():\n    return []",
    "raises_when_asked": GOOD.format(name="half") + "    raise RuntimeError('late')",
    "no_such_field": GOOD.format(name="x").replace("summary=", "sumary="),
    "exits": "raise SystemExit(3)",
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Return a function that makes a distribution of one module and gives its entry point."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(distribution: str, module: str, source: str) -> metadata.EntryPoint:
        (tmp_path / f"{module}.py").write_text(source)
        folder = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        folder.mkdir(exist_ok=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[vgbench]\nmine = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)
        return next(iter(metadata.Distribution.at(folder).entry_points))

    return install


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_plugin_is_named_and_offers_nothing(installed, fault: str) -> None:  # type: ignore[no-untyped-def]
    points = [
        installed("dist-bad", f"bad_{fault}", BROKEN[fault]),
        installed("dist-a", "good_a", GOOD.format(name="ok")),
    ]
    registry = Registry(points)
    assert [p.distribution for p in registry.failures] == ["dist-bad"]
    assert list(registry.sources.offers) == ["ok"]
    assert registry.failures[0].traceback and registry.failures[0].failure
    with pytest.raises(UsageError) as error:
        registry.source("nothing-like-it")
    assert "dist-bad" in (error.value.hint or "") and "plugins doctor" in (error.value.hint or "")


def test_one_name_twice_is_an_error_only_when_asked_for(installed) -> None:  # type: ignore[no-untyped-def]
    points = [installed(d, f"twice_{d[-1]}", GOOD.format(name="lbgen")) for d in ("dist-a", "dist-b")]
    points.append(installed("dist-c", "twice_c", GOOD.format(name="other")))
    registry = Registry(points)
    assert not registry.failures and registry.source("other").distribution == "dist-c"
    with pytest.raises(UsageError) as error:
        registry.source("lbgen")
    assert error.value.hint == "ask for one of dist-a::lbgen, dist-b::lbgen"
    assert registry.source("dist-b::lbgen").distribution == "dist-b"


@pytest.mark.parametrize(
    ("asked", "name", "values"),
    [
        ("sd", "sd", {}),
        ("sd:model=a:b,steps=30", "sd", {"model": "a:b", "steps": "30"}),
        ("folder:/data/mine", "folder", {"": "/data/mine"}),
        ("dist-a::lbgen:x=1", "dist-a::lbgen", {"x": "1"}),
        ("hf:owner/repo,split=train", "hf", {"": "owner/repo", "split": "train"}),
    ],
)
def test_asked_text_splits_at_the_first_colon(asked: str, name: str, values: dict[str, str]) -> None:
    assert split_asked(asked) == (name, values)


def test_class_list_refuses_a_class_twice() -> None:
    with pytest.raises(UsageError, match="stands twice"):
        parse_class_list(
            '{"name": "c", "version": "1", "classes": [{"id": "a", "name": "a"}, {"id": "a", "name": "b"}]}'
        )


def test_every_hook_is_documented() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()
    hooks = [name for name in vars(hookspecs) if name.startswith("vgbench_")]
    assert hooks and all(f"`{name}" in documented for name in hooks)


SUITE = """
from vgbench import DataRequest, Metric, Option, Scores, SuiteSpec, TaskSpec, hookimpl
@hookimpl
def vgbench_offer_tasks():
    options = (Option("readout", "str", "knn", "how"), Option("k", "int", 1, "neighbours"))
    for name in ("g/a", "g/b"):
        yield TaskSpec(name, "1", "a task", None, None, (Metric("top1"),), "m:f", options=options)
@hookimpl
def vgbench_offer_suites():
    yield SuiteSpec("g", "all", ("g/a:readout=cler", "g/b:readout=cler", "g/b"))
    yield SuiteSpec("wider", "a suite of a suite", ("g:k=2", "g/a"))
"""


def test_member_of_a_suite_may_have_options_and_what_the_user_gives_wins(installed) -> None:  # type: ignore[no-untyped-def]
    registry = Registry([installed("dist-g", "suite_g", SUITE)])

    def asked(text: str) -> list[tuple[str, str, int]]:
        return [(c.spec.name, c.options["readout"], c.options["k"]) for c in registry.task(text)]

    assert asked("g") == [("g/a", "cler", 1), ("g/b", "cler", 1), ("g/b", "knn", 1)]
    assert asked("g:k=3,readout=text") == [("g/a", "text", 3), ("g/b", "text", 3), ("g/b", "text", 3)]
    assert asked("wider") == [("g/a", "cler", 2), ("g/b", "cler", 2), ("g/b", "knn", 2), ("g/a", "knn", 1)]
    assert registry.is_suite("g") and not registry.is_suite("g/a")
    with pytest.raises(UsageError, match="readuot"):
        registry.task("g:readuot=cler")
