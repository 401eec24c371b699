"""What is checked: a distribution, a source in one form, a task in one form."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vgbench.conformance.asking import N_CLASSES, N_IMAGES, NO_REQUEST, Ask, Built, build, build_task
from vgbench.conformance.bench import Bench
from vgbench.conformance.outcome import Broken, NotApplicable, Refused
from vgbench.errors import CannotServe, UsageError, VgbenchError
from vgbench.registry import Chosen, option_of, split_asked
from vgbench.types import ClassEntry, ClassList, DataRequest, Node, Scores, SourceSpec, TaskSpec


def typed(form: Callable[[Path], str], folder: Path) -> str:
    """Return the text of a form; whatever it raises means that it cannot be tried here."""
    try:
        return form(folder)
    except Exception as error:
        raise Refused(f"its form could not be prepared: {type(error).__name__}: {error}") from error


@dataclass(eq=False)
class PluginSubject:
    """A distribution."""

    distribution: str
    bench: Bench

    @property
    def name(self) -> str:
        return self.distribution


@dataclass(eq=False)
class SourceSubject:
    """A source in one form: the text a user would type."""

    spec: SourceSpec
    distribution: str
    bench: Bench
    form: Callable[[Path], str]
    classes: str | None = None
    _built: dict[tuple[int, int, tuple[str, ...]], Built] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.spec.name

    @cached_property
    def text(self) -> str:
        return typed(self.form, self.bench.folder(self.name))

    @cached_property
    def chosen(self) -> Chosen[SourceSpec]:
        try:
            return self.bench.registry.source(self.full_text)
        except VgbenchError as error:
            raise Refused(f"{self.text}: {error.what}" + _hint(error)) from None

    @cached_property
    def ask(self) -> Ask | None:
        """What this source can be asked for: three classes of a list it serves, or the whole list with references.

        The distribution's own class lists are tried before the others. Raises ``Broken`` when none is served.
        """
        if self.spec.backbone_graph is not None:
            return None
        registry, reasons = self.bench.registry, []
        offers = sorted(registry.class_lists, key=lambda o: (o.distribution != self.distribution, o.spec.name))
        for name in [self.classes] if self.classes else [offer.spec.name for offer in offers]:
            for ask in self._asks(name):
                try:
                    self._try(ask)
                except VgbenchError as error:
                    reasons.append(f"{name}: {error.what}")
                else:
                    return ask
        said = "; ".join(dict.fromkeys(reasons)) or "no class list is installed"
        raise Refused(f"{self.text} serves no installed class list offline ({said})")

    def _asks(self, classes: str) -> Iterator[Ask]:
        ids = tuple(self._served(classes))
        if len(ids) >= 2:
            yield Ask(classes, ids[:N_CLASSES], references=False)
        yield Ask(classes, (), references=True)

    def _served(self, classes: str) -> Iterator[str]:
        entries = self.bench.registry.class_list(classes).classes
        spec = self.spec
        if spec.class_graph is None:
            yield from (entry.id for entry in entries[:N_CLASSES])
            return
        for entry in entries:
            g = self.bench.builder()
            request = DataRequest(ClassList(classes, "1", (entry,)), N_IMAGES)
            with contextlib.suppress(VgbenchError), g.running(self.owner, self.distribution):
                spec.class_graph(g, entry, request, self.chosen.options)
                yield entry.id

    def _try(self, ask: Ask) -> None:
        g = self.bench.builder()
        build(g, self.chosen, ask.request(g, self.bench.registry))

    @property
    def owner(self) -> str:
        return f"{self.distribution}::{self.spec.name}"

    def built(self, n: int = 5, *, seed: int = 0, ids: Sequence[str] | None = None) -> Built:
        """Return the graph of a request for ``n`` images of each class; ``ids`` other than the usual classes."""
        ask = self.ask
        key = n, seed, tuple(ids or ())
        if key not in self._built:
            g = self.bench.builder({"source": seed})
            request = NO_REQUEST
            if ask is not None:
                chosen_ids = tuple(ids) if ids is not None else ask.ids
                request = Ask(ask.classes, chosen_ids, ask.references, n).request(g, self.bench.registry)
            try:
                self._built[key] = build(g, self.chosen, request)
            except VgbenchError as error:
                raise Refused(f"{self.text}: {error.what}" + _hint(error)) from None
        return self._built[key]

    def own_nodes(self, built: Built) -> list[Node]:
        """Return the nodes that this source's graph made, consumers before what they read."""
        found = {node.digest: node for member in built.members for node in member.walk()}
        if built.found is not None:
            found |= {node.digest: node for node in built.found.index.walk()}
        return [node for node in found.values() if node.owner == self.owner]

    def job(self, n: int = 5) -> dict[str, Any]:
        ask = self.ask
        asked = None if ask is None else {"classes": ask.classes, "ids": ask.ids, "references": ask.references, "n": n}
        return {"do": "graph", "kind": "source", "text": self.full_text, "seeds": {}, "ask": asked}

    @property
    def full_text(self) -> str:
        """The text with its distribution, which is never doubtful."""
        return self.text if "::" in split_asked(self.text)[0] else f"{self.distribution}::{self.text}"

    def images(self, n: int = 5, *, seed: int = 0) -> Built:
        """Return the graph after making its images: ``NotApplicable`` for a source of backbones."""
        built = self.built(n, seed=seed)
        if built.images is None:
            raise NotApplicable("it offers a backbone, not images")
        self.bench.make(built.images.index)
        for member in built.images.members:
            self.bench.make(member)
        return built


@dataclass(eq=False)
class TaskSubject:
    """A task in one form, and the source its mock run asks (None: the first that serves it)."""

    spec: TaskSpec
    distribution: str
    bench: Bench
    form: Callable[[Path], str]
    source: str | None = None
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.spec.name

    @cached_property
    def text(self) -> str:
        return typed(self.form, self.bench.folder(self.name))

    @cached_property
    def chosen(self) -> Chosen[TaskSpec]:
        try:
            return self.bench.registry.task(self.full_text)[0]
        except VgbenchError as error:
            raise Refused(f"{self.text}: {error.what}" + _hint(error)) from None

    @property
    def full_text(self) -> str:
        return self.text if "::" in split_asked(self.text)[0] else f"{self.distribution}::{self.text}"

    def request(self) -> DataRequest:
        """Return what the task asks of a source, for a few images of each class where it lets its caller choose."""
        g, few = (
            self.bench.builder(),
            {"images_per_class": N_IMAGES} if option_of(self.spec, "images_per_class") else {},
        )
        with self.refusing(), g.running("scoring", self.distribution):
            return self.spec.request(g, {**self.chosen.options, **few})

    def scores(self, options: Mapping[str, Any] | None = None, *, member: str = "a") -> Scores:
        """Build the graph around a placeholder; ``options`` replace those of the form."""
        chosen = Chosen(self.spec, self.distribution, {**self.chosen.options, **(options or {})})
        with self.refusing():
            return build_task(self.bench.builder(), chosen, member=member)

    def takes_backbones(self) -> bool:
        """Say whether a backbone can be the subject; a task may refuse one with ``CannotServe`` or ``UsageError``."""
        try:
            build_task(self.bench.builder(), self.chosen, backbone=True)
        except (CannotServe, UsageError):
            return False
        return True

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Turn a refusal into a broken rule: a form that is blocked offline counts as failed."""
        try:
            yield
        except VgbenchError as error:
            raise Refused(f"{self.text}: {error.what}" + _hint(error)) from None

    def job(self) -> dict[str, Any]:
        return {"do": "graph", "kind": "task", "text": self.full_text, "seeds": {}}

    def answering_source(self) -> str:
        """Return the text of a source that can answer this task's request, real images first."""
        if self.source:
            return self.source
        registry = self.bench.registry
        known = [f"{o.distribution}::{o.spec.name}" for o in registry.sources if o.spec.backbone_graph is None]
        first = ["vgbench::original", "vgbench::toybox"]
        for text in [t for t in first if t in known] + [t for t in known if t not in first]:
            with contextlib.suppress(VgbenchError):
                g = self.bench.builder()
                build(g, registry.source(text), self.request())
                return text
        raise Broken(f"no installed source can answer {self.text}; name one with --source")


Subject = PluginSubject | SourceSubject | TaskSubject


def impossible() -> ClassEntry:
    """Return a class that no list has, without definition or synonyms."""
    return ClassEntry("vgbench-conformance-no-such-class", "no such class", "", ())


def _hint(error: VgbenchError) -> str:
    return f" ({error.hint})" if error.hint else ""
