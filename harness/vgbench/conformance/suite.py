"""Every check, and the cases of a distribution.

Each check is a function whose docstring says the rule and why. ``cases`` gives one case for each check and subject;
``Case.run`` never raises, it returns a ``Result``. Modelled on scikit-learn's ``check_estimator``: a promise that many
parts of the program rely on is a program too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from vgbench.conformance import declarations, graphs, shards, tasks
from vgbench.conformance.bench import Bench
from vgbench.conformance.outcome import Broken, Doubtful, NotApplicable, Refused, Status
from vgbench.conformance.subjects import PluginSubject, SourceSubject, Subject, TaskSubject
from vgbench.errors import UsageError, nearest
from vgbench.registry import Registry, split_asked

Form: TypeAlias = str | Callable[[Path], str]
Forms: TypeAlias = Mapping[str, Form] | Sequence[str]

PLUGIN_CHECKS: tuple[Callable[[Any], None], ...] = (
    declarations.plugin_loads,
    declarations.import_is_light,
    declarations.suites_name_tasks,
)
SHARED_CHECKS: tuple[Callable[[Any], None], ...] = (
    graphs.form_is_served,
    declarations.spec_is_well_formed,
    declarations.values_are_plain,
    declarations.provenance_is_declared,
    graphs.graph_is_pure,
    graphs.graph_is_the_same_everywhere,
    declarations.step_ids_are_own,
    declarations.params_are_portable,
    declarations.entries_exist,
)
SOURCE_CHECKS: tuple[Callable[[Any], None], ...] = (
    *SHARED_CHECKS,
    graphs.count_is_a_view,
    graphs.classes_are_independent,
    graphs.seeds_are_on_their_axis,
    graphs.cannot_serve_is_said,
    shards.mock_images_are_made,
    shards.labels_are_in_range,
    shards.made_is_true,
    shards.rows_are_valid,
    shards.smaller_requests_nest,
    shards.what_is_there_is_not_made_again,
    shards.shards_are_reproducible,
    shards.source_seed_changes_images,
    shards.only_out_and_scratch_are_written,
    tasks.mock_run,
)
TASK_CHECKS: tuple[Callable[[Any], None], ...] = (
    *SHARED_CHECKS,
    graphs.column_is_the_tasks_own,
    graphs.labels_stay_with_the_score,
    tasks.scorer_is_light,
    tasks.scores_are_bounded,
    tasks.guessing_gives_chance,
    tasks.mock_run,
)


@dataclass(frozen=True, slots=True)
class Result:
    """A check's outcome: ``status`` ok, failed, warning, skipped, or expected (failed, as its caller said it would)."""

    check: str
    subject: str
    status: Status
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One check of one subject. ``expected`` is the reason why it is known to fail, or None."""

    check: Callable[[Any], None]
    subject: Subject
    expected: str | None = None

    @property
    def id(self) -> str:
        """The check's id: its function's name with hyphens."""
        return id_of(self.check)

    @property
    def rule(self) -> str:
        """The first line of the check's docstring."""
        return (self.check.__doc__ or "").partition("\n")[0]

    def __str__(self) -> str:
        return f"{self.subject.name}-{self.id}"

    def run(self) -> Result:
        """Run the check. Strict: an expected failure that passes is a failure."""
        status, reason = self._outcome()
        if self.expected is not None:
            if status == "failed":
                status, reason = "expected", f"{self.expected} ({reason})"
            elif status == "ok":
                status, reason = "failed", f"it was expected to fail ({self.expected}) and passes: drop the expectation"
        return Result(self.id, self.subject.name, status, reason)

    def _outcome(self) -> tuple[Status, str | None]:
        try:
            self.check(self.subject)
        except Refused as refused:
            if self.check is not graphs.form_is_served:
                return "skipped", f"see {id_of(graphs.form_is_served)}"
            return "failed", str(refused)
        except Broken as broken:
            return "failed", str(broken)
        except Doubtful as doubtful:
            return "warning", str(doubtful)
        except NotApplicable as why:
            return "skipped", str(why)
        except Exception as error:  # the plugin's own code raised where the check called it
            return "failed", f"{type(error).__name__}: {error}"
        return "ok", None


def cases(
    distribution: str,
    *,
    registry: Registry,
    environment: Mapping[str, str] | None = None,
    sources: Forms = (),
    tasks: Forms = (),
    classes: str | None = None,
    expected: Mapping[str, str] | None = None,
) -> list[Case]:
    """Return every case of an installed distribution.

    ``sources`` and ``tasks`` give forms as a user would type them (``name:option=value``); in a mapping from names, a
    form may be a function that puts what it needs into the folder it is given, and returns the text. A source
    without a form runs at its defaults, with ``micro_batch=4`` where it declares that
    option. A source of another distribution answers the mock runs of the tasks. ``expected`` names checks that are
    known to fail (``check`` or ``subject-check``), with the reason. Raises ``UsageError`` for a name nobody has.
    """
    known = {plugin.distribution for plugin in registry.plugins}
    if distribution not in known:
        close = nearest(distribution, known)
        hint = f"did you mean {close!r}?" if close else f"installed: {', '.join(sorted(known))}"
        raise UsageError(f"no installed distribution {distribution!r} has vgbench plugins", hint=hint)
    bench = Bench.open(registry, environment)
    own_sources = [o.spec for o in registry.sources if o.distribution == distribution]
    own_tasks = [o.spec for o in registry.tasks if o.distribution == distribution]
    source_forms, task_forms = _forms(sources), _forms(tasks)
    strangers = [name for name in source_forms if name not in {spec.name for spec in own_sources}]
    for name in task_forms:
        if name not in {spec.name for spec in own_tasks}:
            raise UsageError(f"{distribution} has no task {name!r}", hint=_list([s.name for s in own_tasks]))
    if strangers and not own_tasks:
        raise UsageError(f"{distribution} has no source {strangers[0]!r}", hint=_list([s.name for s in own_sources]))
    answering = [source_forms[name](bench.folder(name)) for name in strangers]
    for text in answering:
        registry.source(text)
    found: list[Case] = []
    plugin = PluginSubject(distribution, bench)
    found += [Case(check, plugin) for check in PLUGIN_CHECKS]
    for spec in own_sources:
        form = source_forms.get(spec.name, _default(spec.name, spec.options))
        subject = SourceSubject(spec, distribution, bench, form, classes)
        found += [Case(check, subject) for check in SOURCE_CHECKS]
    for task in own_tasks:
        form = task_forms.get(task.name, _default(task.name, ()))
        mine = TaskSubject(task, distribution, bench, form, answering[0] if answering else None)
        found += [Case(check, mine) for check in TASK_CHECKS]
    return _with_expectations(found, expected or {})


def id_of(check: Callable[[Any], None]) -> str:
    """Return a check's id: its function's name with hyphens."""
    return check.__name__.replace("_", "-")


def _with_expectations(found: list[Case], expected: Mapping[str, str]) -> list[Case]:
    names = {case.id for case in found} | {str(case) for case in found}
    for name in expected:
        if name not in names:
            close = nearest(name, names)
            raise UsageError(f"no check is called {name!r}", hint=f"did you mean {close!r}?" if close else None)
    return [Case(c.check, c.subject, expected.get(str(c), expected.get(c.id))) for c in found]


def by_name(texts: Iterable[str]) -> dict[str, Form]:
    """Return forms as a user types them by the name of what they are forms of."""
    return {split_asked(text)[0].rpartition("::")[2]: text for text in texts}


def _forms(given: Forms) -> dict[str, Callable[[Path], str]]:
    named = given if isinstance(given, Mapping) else by_name(given)
    return {name: form if callable(form) else _constant(form) for name, form in named.items()}


def _default(name: str, options: Iterable[Any]) -> Callable[[Path], str]:
    declared = {option.name for option in options}
    return _constant(f"{name}:micro_batch=4" if "micro_batch" in declared else name)


def _constant(text: str) -> Callable[[Path], str]:
    return lambda folder: text


def _list(names: Sequence[str]) -> str:
    return f"it has {', '.join(names)}" if names else "it has none"
