"""Checks of what a plugin declares: its module, its specs, the entries its steps name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from vgbench.conformance.outcome import Broken, Doubtful, NotApplicable, require
from vgbench.conformance.subjects import PluginSubject, SourceSubject, TaskSubject
from vgbench.errors import UsageError
from vgbench.types import Node, Option, canonical_json

TRIES = 10  # ours
IMPORT_SECONDS = 0.1  # ours: half of the 200 ms that `vgbench list` may take in all (design §1)
NAME = re.compile(r"[a-z0-9]+([-_/][a-z0-9]+)*")
AN_ADDRESS = re.compile(r"(^|[\s=:,])(/[\w.-]+){2,}|[A-Za-z]:\\|^~/|^file:|https?://")
A_TIME = re.compile(r"\b20\d\d-[01]\d-[0-3]\d[T ][0-2]\d:[0-5]\d")


def plugin_loads(subject: PluginSubject) -> None:
    """Every entry point of the distribution loads, and each function marked as a hook is one.

    A plugin that fails to load offers nothing; the user sees its name and not its sources.
    """
    plugins = [p for p in subject.bench.registry.plugins if p.distribution == subject.distribution]
    broken = [f"{p.name} ({p.value}): {p.failure}" for p in plugins if p.failure]
    require(not broken, "; ".join(broken))


def import_is_light(subject: PluginSubject) -> None:
    """Importing the plugin and asking for its offers takes under 100 ms and imports no numpy, torch or the like.

    The module is imported for every command, `vgbench list` included. Heavy code belongs in a module that a
    `StepRef` names. Measured in fresh interpreters until one was fast enough; a busy machine gets ten tries.
    """
    seconds: list[float] = []
    for _ in range(TRIES):
        job = {"do": "load", "distribution": subject.distribution}
        answer = subject.bench.ask_fresh(job)
        require("failed" not in answer, str(answer.get("failed")))
        require(not answer["heavy"], f"it imports {', '.join(answer['heavy'])}")
        seconds.append(answer["seconds"])
        if seconds[-1] <= IMPORT_SECONDS:
            return
    raise Broken(f"it takes {min(seconds):.2f} s, at most {IMPORT_SECONDS:.2f} s are allowed")


def suites_name_tasks(subject: PluginSubject) -> None:
    """Every task that a suite names is there, with the options that the suite gives it; none stands in it twice.

    A suite is averaged only when complete: with a task that nobody can run it never is.
    """
    registry = subject.bench.registry
    for suite in (offer.spec for offer in registry.suites if offer.distribution == subject.distribution):
        require(suite.tasks, f"suite {suite.name} names no task")
        require(len(set(suite.tasks)) == len(suite.tasks), f"suite {suite.name} names a task twice")
        for task in suite.tasks:
            try:
                registry.task(task)
            except UsageError as error:
                raise Broken(f"suite {suite.name}: {task}: {error.what}") from None


def spec_is_well_formed(subject: SourceSubject | TaskSubject) -> None:
    """Name, summary, options and metrics are complete and agree with each other.

    A name is lower-case letters, digits, `-`, `_`, and in a task's `/` for its family, so that it can be typed. Every
    option has a help text and a default of its own type; the primary option is declared. Metrics have ordered bounds,
    and a chance level inside them where there is one.
    """
    spec = subject.spec
    is_task = isinstance(subject, TaskSubject)
    right = NAME.fullmatch(spec.name) and (is_task or "/" not in spec.name)
    require(
        right, f"the name {spec.name!r} is not lower-case letters, digits, '-' and '_'{' and /' if is_task else ''}"
    )
    require(spec.summary.strip(), "the summary is empty")
    require("\n" not in spec.summary and len(spec.summary) <= 120, "the summary is not one line of at most 120 letters")
    names = [option.name for option in spec.options]
    require(len(set(names)) == len(names), f"an option is declared twice: {', '.join(names)}")
    require(spec.primary is None or spec.primary in names, f"the primary option {spec.primary!r} is not declared")
    for option in spec.options:
        _option_is_well_formed(option)
    if isinstance(subject, SourceSubject):
        graphs = (subject.spec.class_graph, subject.spec.set_graph, subject.spec.backbone_graph)
        require(sum(graph is not None for graph in graphs) == 1, "not exactly one graph function is declared")
        require(subject.spec.kind.strip(), "the kind is empty")
        require(subject.spec.sees.level, "what it sees is not declared")
    else:
        require(subject.spec.metrics, "no metric is declared")
        require(subject.spec.version, "no version is declared")
        for metric in subject.spec.metrics:
            low, high = metric.bounds
            require(low < high, f"metric {metric.id}: bounds {metric.bounds} are not in order")
            if isinstance(metric.chance, (int, float)):
                require(low <= metric.chance <= high, f"metric {metric.id}: chance {metric.chance} is out of bounds")


def _option_is_well_formed(option: Option) -> None:
    require("/" not in option.name and NAME.fullmatch(option.name), f"the option name {option.name!r} cannot be typed")
    require(option.help.strip(), f"option {option.name} has no help text")
    if option.default is None or option.default == "":  # it has to be given
        return
    try:
        cast = option.cast(option.default)
    except UsageError as error:
        raise Broken(f"option {option.name}: its default is refused: {error.what}") from None
    same = cast == option.default and type(cast) is type(option.default)
    require(same, f"option {option.name}: default {option.default!r} is not of type {option.type}: it becomes {cast!r}")


def provenance_is_declared(subject: SourceSubject | TaskSubject) -> None:
    """A source that makes images says their licence, what to cite and what its generator saw; a task what to cite.

    The leaderboard shows them, and filters by what a generator has seen. Missing ones are a warning.
    """
    if isinstance(subject, SourceSubject) and subject.spec.class_graph is None:
        raise NotApplicable("it finds what others made")
    wanted: Mapping[str, str] = {"citation": subject.spec.citation}
    if isinstance(subject, SourceSubject):
        known = subject.spec.generator_training_data
        wanted = {
            **wanted,
            "license": subject.spec.license,
            "generator_training_data": "" if known == "unknown" else known,
        }
    missing = [name for name, value in wanted.items() if not value.strip()]
    if missing:
        raise Doubtful(f"not declared: {', '.join(missing)}")


# ── What the nodes of a graph carry ──────────────────────────────────────────────────────────────


def nodes_of(subject: SourceSubject | TaskSubject) -> list[Node]:
    """Return the nodes that the subject's own distribution made."""
    if isinstance(subject, SourceSubject):
        return subject.own_nodes(subject.built())
    scores = subject.scores()
    found = {n.digest: n for target in (scores.score, *scores.controls.values()) for n in target.walk()}
    return [node for node in found.values() if node.step.entry]


def step_ids_are_own(subject: SourceSubject | TaskSubject) -> None:
    """A step's id is `DISTRIBUTION.verb`: it starts with the distribution that ships it, or is one of the core's.

    Two labs may call a source alike; if they called their steps alike, one would be served the other's images.
    """
    for node in nodes_of(subject):
        owner, _, verb = node.step.id.rpartition(".")
        require(owner and verb and node.step.version, f"step {node.step.id!r} lacks an owner, a verb or a version")


def params_are_portable(subject: SourceSubject | TaskSubject) -> None:
    """Params are JSON and hold no path, address, host or time; a path option goes in through `g.path`.

    A param is in the key: with a path in it, the same data in another folder would be made again, and other data in
    the same folder would be served the old images.
    """
    import platform

    homes = [value for value in (platform.node(), str(subject.bench.home)) if len(value) > 3]
    for node in nodes_of(subject):
        for name, value in node.param.items():
            for text in _texts(value):
                odd = AN_ADDRESS.search(text) or A_TIME.search(text) or any(home in text for home in homes)
                require(not odd, f"step {node.step.id}: param {name} = {text!r} names a place or a time")


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from (str(key), *_texts(inner))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)


def entries_exist(subject: SourceSubject | TaskSubject) -> None:
    """Every `module:function` that a step, a part or a scorer names can be imported in a worker and called.

    It is resolved only when a worker gets the job: a spelling mistake would be found after the images were paid for.
    """
    entries = {node.step.entry for node in nodes_of(subject)}
    entries |= {binding for node in nodes_of(subject) for _, binding in node.bindings if _is_entry(binding)}
    if isinstance(subject, TaskSubject) and subject.spec.scorer is not None:
        entries.add(subject.spec.scorer)
    answer = subject.bench.ask({"do": "resolve", "entries": sorted(entries)})
    require("failed" not in answer, str(answer.get("failed")))
    require(not answer["wrong"], "; ".join(answer["wrong"]))


def _is_entry(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", text) is not None


def values_are_plain(subject: SourceSubject | TaskSubject) -> None:
    """What a spec declares can be written as JSON, apart from its functions: `vgbench show --json` prints it."""
    try:
        canonical_json(_plain(subject.spec))
    except (TypeError, ValueError) as error:
        raise Broken(f"the spec is not JSON: {error}") from None


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if not callable(getattr(value, f.name))}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value
