"""What is installed: plugins loaded one by one, so that a broken one is named and never stops the others.

The only module that touches pluggy's hooks.
"""

from __future__ import annotations

import json
import time
import traceback
from argparse import _SubParsersAction
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from importlib.resources import files
from typing import Any, Generic, TypeVar

import pluggy

from vgbench import hookspecs, mixture
from vgbench.errors import UsageError, unknown
from vgbench.types import (
    SEES,
    ClassEntry,
    ClassList,
    ClassListSpec,
    DatasetSpec,
    Option,
    Part,
    Sees,
    SourceSpec,
    SuiteSpec,
    TaskSpec,
    WeightsSpec,
)

GROUP = "vgbench"
Spec = TypeVar("Spec")


@dataclass(frozen=True, slots=True)
class Plugin:
    """One installed entry point: its distribution, how long it took to load, and what failed (None: nothing)."""

    name: str
    distribution: str
    version: str
    value: str
    seconds: float
    failure: str | None = None
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class Offer(Generic[Spec]):
    """A declared thing and the distribution that declares it."""

    spec: Spec
    distribution: str


@dataclass(frozen=True, slots=True)
class Chosen(Generic[Spec]):
    """A source or task as asked for: its spec and every option, defaults filled in and cast."""

    spec: Spec
    distribution: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source or task as a user names it: its options as typed, and the name to show it under (None: its own)."""

    name: str
    options: Mapping[str, object] = field(default_factory=dict)
    alias: str | None = None

    @classmethod
    def of(cls, asked: str | Wanted) -> Wanted:
        """Read ``NAME[:OPT=VALUE,…]``; a value without ``=`` goes to the primary option (under the empty name)."""
        return asked if isinstance(asked, Wanted) else cls(*split_asked(asked))


@dataclass(slots=True)
class Catalogue(Generic[Spec]):
    """The declared things of one kind. Two distributions may declare one name until somebody asks for it."""

    kind: str
    listing: str
    offers: dict[str, list[Offer[Spec]]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Offer[Spec]]:
        for name in sorted(self.offers):
            yield from self.offers[name]

    def add(self, name: str, spec: Spec, distribution: str) -> None:
        self.offers.setdefault(name, []).append(Offer(spec, distribution))

    def get(self, name: str) -> Offer[Spec]:
        """Return the one offer called ``name`` (or ``distribution::name``); refuse an unknown or doubtful name."""
        distribution, separator, plain = name.rpartition("::")
        found = self.offers.get(plain if separator else name, [])
        if separator:
            found = [offer for offer in found if offer.distribution == distribution]
        if not found:
            raise unknown(self.kind, name, self.offers, listing=self.listing)
        if len(found) > 1:
            choices = ", ".join(sorted(f"{offer.distribution}::{plain}" for offer in found))
            raise UsageError(
                f"{len(found)} installed distributions declare the {self.kind} {plain!r}",
                hint=f"ask for one of {choices}",
            )
        return found[0]


class Registry:
    """Everything that the installed plugins offer."""

    def __init__(self, entry_points: Iterable[metadata.EntryPoint] | None = None) -> None:
        self._manager = pluggy.PluginManager("vgbench")
        self._manager.add_hookspecs(hookspecs)
        self.plugins: list[Plugin] = []
        self.sources: Catalogue[SourceSpec] = Catalogue("source", "vgbench list sources")
        self.tasks: Catalogue[TaskSpec] = Catalogue("task", "vgbench list tasks")
        self.suites: Catalogue[SuiteSpec] = Catalogue("suite", "vgbench list suites")
        self.class_lists: Catalogue[ClassListSpec] = Catalogue("class list", "vgbench list classes")
        self.datasets: Catalogue[DatasetSpec] = Catalogue("data set", "vgbench list datasets")
        self._class_lists: dict[str, ClassList] = {}
        self.weights: Catalogue[WeightsSpec] = Catalogue("set of weights", "vgbench list weights")
        self.parts: Catalogue[Part] = Catalogue("part", "vgbench list parts")
        points = metadata.entry_points(group=GROUP) if entry_points is None else entry_points
        for distribution, version, point in sorted(_owned(points), key=lambda found: (found[0], found[2].name)):
            self.plugins.append(self._load(point, distribution, version))

    def _load(self, point: metadata.EntryPoint, distribution: str, version: str) -> Plugin:
        """Load one plugin and read its offers; whatever it raises is kept for ``plugins doctor``."""
        start = time.perf_counter()
        module: Any = None
        try:
            module = point.load()
            self._manager.register(module, name=f"{distribution}::{point.name}")
            self._manager.check_pending()
            self._collect(module, distribution)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            if module is not None and self._manager.is_registered(module):
                self._manager.unregister(module)
            seconds = time.perf_counter() - start
            failure = f"{type(error).__name__}: {error}"
            return Plugin(point.name, distribution, version, point.value, seconds, failure, traceback.format_exc())
        return Plugin(point.name, distribution, version, point.value, time.perf_counter() - start)

    def _collect(self, module: object, distribution: str) -> None:
        """Ask one plugin for its offers, all of them before any is kept: a half-broken plugin offers nothing."""
        others = [p for p in self._manager.get_plugins() if p is not module]
        offered: list[tuple[Catalogue[Any], str, Any]] = []
        for catalogue, hook in (
            (self.sources, "vgbench_offer_sources"),
            (self.tasks, "vgbench_offer_tasks"),
            (self.suites, "vgbench_offer_suites"),
            (self.class_lists, "vgbench_offer_class_lists"),
            (self.datasets, "vgbench_offer_datasets"),
            (self.weights, "vgbench_offer_weights"),
            (self.parts, "vgbench_offer_parts"),
        ):
            caller = self._manager.subset_hook_caller(hook, remove_plugins=others)
            for specs in caller():
                for spec in specs:
                    name = f"{spec.kind}/{spec.name}" if isinstance(spec, Part) else spec.name
                    offered.append((catalogue, name, spec))
        for catalogue, name, spec in offered:
            catalogue.add(name, spec, distribution)

    @property
    def failures(self) -> list[Plugin]:
        return [plugin for plugin in self.plugins if plugin.failure]

    def register(self, listener: object) -> None:
        """Add an object whose methods implement hooks: the progress display of a command."""
        self._manager.register(listener)

    def add_commands(self, add: _SubParsersAction[Any]) -> None:
        self._manager.hook.vgbench_offer_commands(add=add)

    def node_finished(self, *, node: str, step: str, shard: int, items: int) -> None:
        self._manager.hook.vgbench_on_node_finished(node=node, step=step, shard=shard, items=items)

    def run_finished(self, run_dir: str) -> None:
        self._manager.hook.vgbench_on_run_finished(run_dir=run_dir)

    # ── looking things up by what a user types ───────────────────────────────────────────────────

    def source(self, asked: str | Wanted) -> Chosen[SourceSpec]:
        """Resolve a source with its options."""
        wanted = Wanted.of(asked)
        offer = self._get(self.sources, wanted.name)
        options = self.choose(offer.spec, wanted.options)
        return Chosen(self._seeing(offer.spec, options), offer.distribution, options)

    def _seeing(self, spec: SourceSpec, options: Mapping[str, Any]) -> SourceSpec:
        """Return a source that sees what it does under its options: its models; what a mixture's components see."""
        if spec.under is not None:
            spec = spec.under(spec, options)
        if writer := self._writer(options.get("prompts")):
            spec = replace(spec, sees=replace(spec.sees, models=(*spec.sees.models, *writer)))
        texts = [options[option.name] for option in spec.options if option.type == "mixture"]
        parts = [self.source(component.source).spec for text in texts for component in mixture.parse(text)]
        if not parts:
            return spec
        level = SEES[max(SEES.index(part.sees.level) for part in parts)]
        models = sorted({model for part in parts for model in part.sees.models})
        named = {part.name: part for part in parts}
        return replace(
            spec,
            sees=Sees(level, tuple(models)),
            finds_images=any(part.finds_images for part in parts),
            license="; ".join(f"{name}: {part.license}" for name, part in named.items() if part.license),
            generator_training_data="; ".join(f"{name}: {p.generator_training_data}" for name, p in named.items()),
        )

    def _writer(self, prompts: str | None) -> tuple[str, ...]:
        """Return the network that writes a source's prompts, where its strategy has one."""
        is_known = f"prompts/{prompts}" in self.parts.offers  # not yet refused; nor a data set's templates
        weights = self.part("prompts", str(prompts)).values.get("weights") if is_known else None
        return (str(weights),) if weights else ()

    def task(self, asked: str | Wanted) -> list[Chosen[TaskSpec]]:
        """Resolve a task, or a suite into its tasks; an alias is the name its column gets.

        A suite's member may have options of its own ("genbench/dtd:readout=cler"); what the user gives wins.
        """
        wanted = Wanted.of(asked)
        if self.is_suite(wanted.name):
            members = [Wanted.of(task) for task in self._get(self.suites, wanted.name).spec.tasks]
            given = wanted.options
            return [c for member in members for c in self.task(Wanted(member.name, {**member.options, **given}))]
        offer = self._get(self.tasks, wanted.name)
        spec = replace(offer.spec, name=wanted.alias) if wanted.alias else offer.spec
        return [Chosen(spec, offer.distribution, self.choose(offer.spec, wanted.options))]

    def is_suite(self, name: str) -> bool:
        """Say whether a name stands for a suite: a task of the same name goes first."""
        return name in self.suites.offers and name not in self.tasks.offers

    def _get(self, catalogue: Catalogue[Spec], name: str) -> Offer[Spec]:
        try:
            return catalogue.get(name)
        except UsageError as error:
            if self.failures and name not in catalogue.offers:
                broken = ", ".join(sorted(f"{p.name} ({p.distribution})" for p in self.failures))
                hint = f"plugins that failed to load: {broken}; see: vgbench plugins doctor"
                raise UsageError(error.what, hint=f"{error.hint}; {hint}" if error.hint else hint) from None
            raise

    def choose(self, spec: SourceSpec | TaskSpec, values: Mapping[str, object]) -> dict[str, Any]:
        """Fill in every option of ``spec``: given values cast to their type, the others at their default."""
        declared = {option.name: option for option in spec.options}
        given = dict(values)
        if "" in given:
            if spec.primary is None:
                raise UsageError(
                    f"{spec.name}: {given['']!r} is not OPT=VALUE",
                    hint=f"options: {', '.join(declared) or 'none'}",
                )
            given[spec.primary] = given.pop("")
        for name in given:
            if name not in declared:
                raise unknown(f"option of {spec.name}", name, declared, listing=f"vgbench show {spec.name}")
        return {name: option.cast(given.get(name, option.default)) for name, option in declared.items()}

    def class_list(self, name: str) -> ClassList:
        """Read a declared class list from its package, once: a plan asks for it in every cell."""
        resource = self.class_lists.get(name).spec.resource
        if resource not in self._class_lists:
            package, _, file = resource.partition(":")
            self._class_lists[resource] = parse_class_list((files(package) / file).read_text())
        return self._class_lists[resource]

    def part(self, kind: str, name: str) -> Part:
        known = [n.partition("/")[2] for n in self.parts.offers if n.startswith(f"{kind}/")]
        distribution, separator, plain = name.rpartition("::")
        if (plain if separator else name) not in known:
            raise unknown(kind, name, known, listing="vgbench list parts")
        return self.parts.get(f"{distribution}{separator}{kind}/{plain if separator else name}").spec


def split_asked(asked: str) -> tuple[str, dict[str, object]]:
    """Split ``NAME[:OPT=VALUE[,OPT=VALUE…]]``; a value without ``=`` comes back under the empty name.

    ``dist::name`` keeps its double colon: only the first single ``:`` splits. What stands in parentheses stays whole:
    a mixture's components have options of their own.
    """
    head, _, rest = asked.partition(":")
    if rest.startswith(":"):
        plain, _, rest = rest.removeprefix(":").partition(":")
        head = f"{head}::{plain}"
    values: dict[str, object] = {}
    for item in filter(None, mixture.split_outside(rest, ",", strict=False)):
        key, equals, value = item.partition("=")
        key, value = (key.strip(), value) if equals and "(" not in key else ("", item)
        if key in values:
            raise UsageError(f"{asked}: option {key or 'value'!r} is given twice")
        values[key] = value
    return head, values


def parse_class_list(text: str) -> ClassList:
    """Read a class list's JSON: {name, version, classes: [{id, name, definition?, synonyms?, wnids?}]}."""
    value = json.loads(text)
    entries = tuple(
        ClassEntry(e["id"], e["name"], e.get("definition", ""), tuple(e.get("synonyms", ())), tuple(e.get("wnids", ())))
        for e in value["classes"]
    )
    if len({entry.id for entry in entries}) != len(entries):
        raise UsageError(f"class list {value['name']}: a class id stands twice")
    return ClassList(value["name"], value["version"], entries)


def option_of(spec: SourceSpec | TaskSpec, name: str) -> Option | None:
    """Return a declared option, or None."""
    return next((option for option in spec.options if option.name == name), None)


def _owned(points: Iterable[metadata.EntryPoint]) -> Iterator[tuple[str, str, metadata.EntryPoint]]:
    """Yield (distribution, its version, entry point); metadata is parsed at every reading, so it is read once."""
    known: dict[int, tuple[str, str]] = {}
    for point in list(points):
        if id(point.dist) not in known:
            known[id(point.dist)] = (point.dist.name, point.dist.version) if point.dist else ("unknown", "")
        yield *known[id(point.dist)], point
