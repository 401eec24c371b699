"""The suite can fail: each planted fault is caught by the check that is named for it, and the sound plugin passes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from tests.conformance.planted import SET_GRAPH, SET_WORK, write_plugin

from vgbench.conformance.suite import PLUGIN_CHECKS, SOURCE_CHECKS, TASK_CHECKS, Case, Result, cases, id_of
from vgbench.errors import UsageError
from vgbench.registry import Registry

Plant = Callable[..., list[Case]]

FAULTS: dict[
    str, tuple[str, str, str]
] = {  # fault: check that catches it, code added to planted.py, to planted_work.py
    "clock in the graph": (
        "graph-is-the-same-everywhere",
        """
        import datetime
        def params(entry, request, options):
            return {"digit": int(entry.id[-1]), "on": datetime.date.today().isoformat(), **options}
        """,
        "",
    ),
    "random number in the graph": (
        "graph-is-the-same-everywhere",
        """
        import random
        def params(entry, request, options):
            return {"digit": int(entry.id[-1]), "salt": random.random(), **options}
        """,
        "",
    ),
    "set order in the graph": (
        "graph-is-the-same-everywhere",
        """
        def params(entry, request, options):
            return {"digit": int(entry.id[-1]), "words": list({"photo", "drawing", "sketch", "print"}), **options}
        """,
        "",
    ),
    "file read in the graph": (
        "graph-is-pure",
        """
        def params(entry, request, options):
            with open(__file__) as file:
                return {"digit": int(entry.id[-1]), "lines": len(file.readlines()), **options}
        """,
        "",
    ),
    "heavy import in the graph": (
        "graph-is-pure",
        """
        def params(entry, request, options):
            import numpy
            return {"digit": int(entry.id[-1]), **options}
        """,
        "",
    ),
    "heavy import": ("import-is-light", "import numpy", ""),
    "slow import": ("import-is-light", "import time; time.sleep(0.2)", ""),
    "path in params": (
        "params-are-portable",
        """
        def params(entry, request, options):
            return {"digit": int(entry.id[-1]), "corpus": "/data/corpus/part-0", **options}
        """,
        "",
    ),
    "count in the key": (
        "count-is-a-view",
        """
        def params(entry, request, options):
            return {"digit": int(entry.id[-1]), "n": request.images_per_class, **options}
        """,
        "",
    ),
    "other classes in the key": (
        "classes-are-independent",
        """
        def params(entry, request, options):
            return {"digit": int(entry.id[-1]), "of": len(request.classes), **options}
        """,
        "",
    ),
    "classes in one node": (
        "classes-are-independent",
        "def params(entry, request, options): return {'digit': 0, **options}",
        "",
    ),
    "train seed for images": (
        "seeds-are-on-their-axis",
        "from dataclasses import replace; STEP = replace(STEP, seed='train')",
        "",
    ),
    "seed declared and ignored": (
        "source-seed-changes-images",
        "",
        """
        def pixels(seed):
            return np.full((8, 8), COUNT.setdefault(seed, len(COUNT)) % 256, np.uint8)
        COUNT = {}
        def draw(step, draw=draw):
            COUNT.clear()
            return draw(step)
        """,
    ),
    "global random generator": (
        "shards-are-reproducible",
        "",
        "def pixels(seed): return np.random.randint(0, 256, (8, 8)).astype(np.uint8)",
    ),
    "depends on what was made before": (
        "shards-are-reproducible",
        "",
        """
        SEEN = []
        def pixels(seed):
            SEEN.append(seed)
            return np.random.default_rng(len(SEEN)).integers(0, 256, (8, 8), dtype=np.uint8)
        """,
    ),
    "step id of another distribution": (
        "form-is-served",
        "from dataclasses import replace; STEP = replace(STEP, id='vgbench-acme.draw')",
        "",
    ),
    "entry that nobody has": (
        "entries-exist",
        "from dataclasses import replace; STEP = replace(STEP, entry='planted_work:drow')",
        "",
    ),
    "KeyError for a class it does not know": (
        "cannot-serve-is-said",
        """
        DIGITS = {f"digit-{i}": i for i in range(10)}
        def draw(g, entry, request, options):
            return g.node(STEP, params={"digit": DIGITS[entry.id], **options})
        GRAPHS = {"class_graph": draw}
        """,
        "",
    ),
    "wrong Made.items": ("made-is-true", "", "def made(rows, class_id): return Made(len(rows) + 1)"),
    "wrong Made.per_class": ("made-is-true", "", "def made(rows, class_id): return Made(len(rows), {'digit-9': 1})"),
    "writes elsewhere": (
        "only-out-and-scratch-are-written",
        "",
        """
        def made(rows, class_id):
            open("notes.txt", "a").close()
            return Made(len(rows))
        """,
    ),
    "changes its neighbour": (
        "only-out-and-scratch-are-written",
        "",
        """
        def draw(step, draw=draw):
            (step.out.parent / "shared.txt").write_text("mine")
            return draw(step)
        """,
    ),
    "opens a socket": (
        "only-out-and-scratch-are-written",
        "",
        """
        import contextlib, socket
        def made(rows, class_id):
            with contextlib.suppress(OSError), socket.socket() as s:
                s.settimeout(0.1)
                s.connect(("127.0.0.1", 9))
            return Made(len(rows))
        """,
    ),
    "not an image": (
        "rows-are-valid",
        "",
        """
        def encode_png(pixels):
            return b"no image"
        """,
    ),
    "wrong size": (
        "rows-are-valid",
        "",
        "def pixels(seed): return np.random.default_rng(seed).integers(0, 256, (8, 9), dtype=np.uint8)",
    ),
    "rows of another class": (
        "labels-are-in-range",
        "",
        """
        def ImageRow(*args, class_id, **rest):
            from vgbench import images
            return images.ImageRow(*args, class_id="digit-9", **rest)
        def made(rows, class_id):
            return Made(len(rows))
        """,
    ),
    "label out of range": ("labels-are-in-range", SET_GRAPH, SET_WORK + "LABEL = lambda label: label + 1"),
    "class without an image": ("mock-images-are-made", SET_GRAPH, SET_WORK + "LABEL = lambda label: 0"),
    "made again for a larger request": (
        "what-is-there-is-not-made-again",
        """
        def params(entry, request, options):
            return {"digit": int(entry.id[-1]), "n": request.images_per_class, **options}
        """,
        "",
    ),
    "images that move with the count": (
        "smaller-requests-nest",
        SET_GRAPH
        + """
def find(g, request, options):
    node = g.node(STEP, params={"n_classes": len(request.classes), "n": request.images_per_class})
    return Images(node, (node,), request.classes)
GRAPHS = {"set_graph": find}
""",
        SET_WORK
        + """
LABEL = lambda label: label
def draw(step, draw=draw):
    global pixels
    pixels = lambda i: np.random.default_rng([step.params["n"], i]).integers(0, 256, (8, 8), dtype=np.uint8)
    return draw(step)
""",
    ),
    "default of another type": (
        "spec-is-well-formed",
        "MICRO_BATCH = Option('micro_batch', 'int', '64', 'images in a shard')",
        "",
    ),
    "help text missing": ("spec-is-well-formed", "MICRO_BATCH = Option('micro_batch', 'int', 64, '')", ""),
    "suite with an option that its task has not": (
        "suites-name-tasks",
        """
        from vgbench import SuiteSpec
        @hookimpl
        def vgbench_offer_suites():
            yield SuiteSpec("all", "both", ("digits", "digits:readuot=cler"))
        """,
        "",
    ),
    "does not load": ("plugin-loads", "import a_module_that_nobody_has", ""),
}

TASK_FAULTS: dict[str, tuple[str, str, str]] = {
    "looks at who made the images": (
        "column-is-the-tasks-own",
        """
        def pack(g, images):
            if hasattr(images, "index"):
                MADE_BY["digest"] = images.index.digest
            params = {"store_px": 8, "labelled": True, "by": MADE_BY["digest"]}
            return g.node(stages.PACK, inputs={"images": images}, params=params)
        MADE_BY = {}
        """,
        "",
    ),
    "score without the source": (
        "column-is-the-tasks-own",
        """
        def graph(g, subject, options, graph=graph):
            return graph(g, g.dataset("digits", "train").images, options)
        """,
        "",
    ),
    "test labels read early": (
        "labels-stay-with-the-score",
        """
        def graph(g, subject, options, graph=graph):
            test = g.dataset("digits", "test")
            return graph(g, stages.labelled(g, test, g.class_list("digits")), options)
        """,
        "",
    ),
    "heavy scorer": ("scorer-is-light", "", "import sklearn"),
    "scorer nobody has": ("scorer-is-light", "SCORER = 'planted_work:scoer'", ""),
    "percent for a fraction": (
        "scores-are-bounded",
        "",
        """
        from dataclasses import replace
        def score(predictions, labels, options, top1=score):
            found = top1(predictions, labels, options)
            return replace(found, metrics=tuple(replace(v, value=100 * v.value) for v in found.metrics))
        """,
    ),
    "metric not declared": ("scores-are-bounded", "METRICS = METRICS[:1]", ""),
    "metric not reported": ("scores-are-bounded", "METRICS = (*METRICS, Metric('third'))", ""),
    "wrong chance": ("guessing-gives-chance", "METRICS = (Metric('top1', chance=0.5), METRICS[1])", ""),
    "chance out of bounds": ("spec-is-well-formed", "METRICS = (Metric('top1', chance=10), METRICS[1])", ""),
    "encoder that fails": ("mock-run", "", "def encode(pack, step): raise RuntimeError('no such thing')"),
    "data set that nobody has": (
        "form-is-served",
        "def request(g, options): return DataRequest(g.class_list('digitz'), 5)",
        "",
    ),
}


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    """Return a function that installs a planted plugin and gives its cases."""
    opened: list[Case] = []

    def install(offer: str = "", work: str = "", *, task: bool = False, **asked: object) -> list[Case]:
        point = write_plugin(tmp_path, offer=offer, work=work, task=task)
        monkeypatch.syspath_prepend(str(tmp_path))
        others = [p for p in metadata.entry_points(group="vgbench") if p.dist and p.dist.name == "vgbench"]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
        registry = Registry([*others, point])
        found = cases("vgbench-planted", registry=registry, environment=environment, **asked)  # type: ignore[arg-type]
        opened.extend(found[:1])
        return found

    yield install
    for case in opened:
        case.subject.bench.close()


def results(found: list[Case]) -> dict[str, Result]:
    return {case.id: case.run() for case in found}


def test_sound_plugin_passes_every_check(plant: Plant) -> None:
    outcomes = results(plant())
    assert {o.status for o in outcomes.values()} == {"ok"}, [o for o in outcomes.values() if o.status != "ok"]


def test_sound_plugin_of_whole_sets_passes(plant: Plant) -> None:
    outcomes = results(plant(SET_GRAPH, SET_WORK + "LABEL = lambda label: label"))
    assert {o.status for o in outcomes.values()} <= {"ok", "skipped"}, [o for o in outcomes.values() if o.reason]


def test_sound_task_passes_every_check(plant: Plant) -> None:
    outcomes = results(plant(task=True))
    assert {o.status for o in outcomes.values()} == {"ok"}, [o for o in outcomes.values() if o.status != "ok"]


@pytest.mark.parametrize("fault", TASK_FAULTS)
def test_fault_planted_in_a_task_is_caught(plant: Plant, fault: str) -> None:
    check, offer, work = TASK_FAULTS[fault]
    result = next(case for case in plant(offer, work, task=True) if case.id == check).run()
    assert result.status == "failed", f"{fault} was not seen by {check}: {result}"


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_caught(plant: Plant, fault: str) -> None:
    check, offer, work = FAULTS[fault]
    case = next(case for case in plant(offer, work) if case.id == check)
    result = case.run()
    assert result.status == "failed", f"{fault} was not seen by {check}: {result}"
    assert result.reason and "Traceback" not in result.reason


def test_every_check_is_seen_to_fail() -> None:
    caught = {check for check, _, _ in (*FAULTS.values(), *TASK_FAULTS.values())}
    # The builder refuses a wrong step id before the check can, a spec that is not JSON fails in its own hook, missing
    # provenance only warns (tested below).
    elsewhere = {"step-ids-are-own", "values-are-plain", "provenance-is-declared"}
    checks = {id_of(check) for check in (*PLUGIN_CHECKS, *SOURCE_CHECKS, *TASK_CHECKS)}
    assert checks == caught | elsewhere and not caught & elsewhere


def test_missing_provenance_is_a_warning(plant: Plant) -> None:
    case = next(c for c in plant("def hide(): pass") if c.id == "provenance-is-declared")
    assert case.run().status == "ok"
    object.__setattr__(case.subject.spec, "citation", "")  # type: ignore[union-attr]  # a source
    assert case.run().status == "warning"


def test_expected_failure_needs_to_fail(plant: Plant) -> None:
    found = plant("", "def made(rows, class_id): return Made(0)", expected={"made-is-true": "a known fault"})
    outcome = next(case for case in found if case.id == "made-is-true").run()
    assert outcome.status == "expected" and "a known fault" in (outcome.reason or "")


def test_expected_failure_that_passes_is_a_failure(plant: Plant) -> None:
    found = plant(expected={"planted-made-is-true": "mended long ago"})
    outcome = next(case for case in found if case.id == "made-is-true").run()
    assert outcome.status == "failed" and "drop the expectation" in (outcome.reason or "")


def test_unknown_expectation_is_refused(plant: Plant) -> None:
    with pytest.raises(UsageError) as error:
        plant(expected={"made-is-treu": "why"})
    assert error.value.hint == "did you mean 'made-is-true'?"
