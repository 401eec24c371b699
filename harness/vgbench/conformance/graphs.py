"""Checks of graphs: pure, and the right things in the key."""

from __future__ import annotations

from vgbench.conformance.asking import NO_REQUEST, SUBJECT, Ask, build
from vgbench.conformance.declarations import nodes_of
from vgbench.conformance.outcome import Broken, NotApplicable, require
from vgbench.conformance.subjects import SourceSubject, TaskSubject, impossible
from vgbench.errors import CannotServe, NotObserved
from vgbench.types import ClassList, DataRequest, Head, Node


def form_is_served(subject: SourceSubject | TaskSubject) -> None:
    """The form under test can be planned offline: its options are accepted, and a source serves some class list.

    Whatever a plugin needs at full size, it must have a form small enough to be tried: a tiny model, a small corpus.
    When this check fails the others have nothing to look at.
    """
    if isinstance(subject, SourceSubject):
        subject.built()
    else:
        subject.scores()


def graph_is_pure(subject: SourceSubject | TaskSubject) -> None:
    """Building a graph opens no file, no socket and no process, and imports nothing heavy.

    A plan is built on a login node, for a cell that may never run, and again by whoever verifies it. What the
    builder looks up for you (`g.path`, `g.dataset`, `g.class_list`, …) does not count.
    """
    form_is_served(subject)
    answer = subject.bench.ask(subject.job())
    require("failed" not in answer, f"{answer.get('failed')}")
    require(not answer["heavy"], f"building the graph imports {', '.join(answer['heavy'])}")
    require(not answer["seen"], f"building the graph touched: {'; '.join(answer['seen'][:3])}")


def graph_is_the_same_everywhere(subject: SourceSubject | TaskSubject) -> None:
    """The same request gives the same digests: twice here, and in a process with another hash seed, folder and date.

    A digest that moves is a cache that never hits, and a result nobody can verify: no clock, no random number, no
    set order, no host name may reach a param.
    """
    form_is_served(subject)
    here, there = subject.bench.ask(subject.job()), subject.bench.ask(subject.job(), where="later")
    for answer in (here, there):
        require("failed" not in answer, f"{answer.get('failed')}")
    require(here["first"] == here["second"], "two calls in one process give other digests")
    require(here["first"] == there["first"], "another process (hash seed, folder, home, date) gives other digests")


def count_is_a_view(subject: SourceSubject) -> None:
    """How many images are asked for is not in the key of a class: 8 contain the 5.

    Class nodes are open-ended; a request is a view of their first n images. With the number in the key, going from
    500 to 1,300 images would make 1,800.
    """
    if subject.spec.class_graph is None:
        raise NotApplicable("it finds whole sets; their nesting is checked on the images")
    digests = [[node.digest for node in subject.built(n).members] for n in (5, 8, 13)]
    require(digests[0] == digests[1] == digests[2], "images_per_class changes the digest of a class's node")
    open_ended = all(node.shard_size for node in subject.built().members)
    require(open_ended, "a class's node is not open-ended: declare shards='index:PARAM'")


def classes_are_independent(subject: SourceSubject) -> None:
    """Adding a class to the request, or another order, changes no other class's node.

    ImageNet-100 lies inside ImageNet-1k, and a class made once serves every task that asks for it.
    """
    if subject.spec.class_graph is None:
        raise NotApplicable("it finds whole sets")
    ids = [entry.id for entry in subject.built().request.classes.classes]
    if len(ids) < 2:
        raise NotApplicable("it serves one class only")
    whole = dict(zip(ids, subject.built().members, strict=True))
    fewer = subject.built(ids=ids[1:])
    for entry, node in zip(fewer.request.classes.classes, fewer.members, strict=True):
        require(node == whole[entry.id], f"the node of {entry.id} depends on the other classes of the request")
    require(len({node.digest for node in whole.values()}) == len(ids), "two classes share one node")


def seeds_are_on_their_axis(subject: SourceSubject) -> None:
    """The source seed changes every image that is drawn from a seed; train and probe seeds change no image.

    `--seeds 3` means three trainings on one image set; `--source-seeds 3` three image sets.
    """
    form_is_served(subject)
    ask = subject.ask
    built = {}
    for axis, seed in ((None, 0), ("source", 1), ("train", 1), ("probe", 1)):
        g = subject.bench.builder({axis: seed} if axis else {})  # type: ignore[dict-item]  # the literals are axes
        request = ask.request(g, subject.bench.registry) if ask else NO_REQUEST
        built[axis] = build(g, subject.chosen, request)
    if subject.spec.backbone_graph is None:
        for axis in ("train", "probe"):
            require(built[axis].digests == built[None].digests, f"the {axis} seed changes the images")
    for node in subject.own_nodes(built[None]):
        right = node.step.seed in (None, "source") or subject.spec.backbone_graph is not None
        require(right, f"step {node.step.id} draws from the {node.step.seed} seed, images draw from the source seed")
    drawn = {node.step.seed for member in built[None].members for node in member.walk()}
    if "source" not in drawn:
        raise NotApplicable("no step of it draws from a seed")
    require(built["source"].digests != built[None].digests, "the source seed changes no digest")


def cannot_serve_is_said(subject: SourceSubject) -> None:
    """A class the source cannot make is refused with `CannotServe`, not with another exception.

    `CannotServe` blocks one cell with its reason and the rest runs; a `KeyError` would end the whole plan. Serving
    any class is fine too.
    """
    if subject.spec.backbone_graph is not None:
        raise NotApplicable("it offers a backbone, not images of classes")
    ask = subject.ask
    assert ask is not None
    g = subject.bench.builder()
    request = Ask(ask.classes, ask.ids, ask.references).request(g, subject.bench.registry)
    classes = ClassList(request.classes.name, request.classes.version, (impossible(),))
    for references in (request.references, None):
        try:
            build(g, subject.chosen, DataRequest(classes, 2, references=references))
        except (CannotServe, NotObserved):
            continue
        except Exception as error:
            raise Broken(f"a class it may not know raises {type(error).__name__}: {error}") from None


def column_is_the_tasks_own(subject: TaskSubject) -> None:
    """Everything that does not come from the subject's images is the same whatever the source and the row options.

    Two sources in one column were scored by the same test images, encoder and probe. A graph that looks at who made
    the images (their members, or a row option) would compare sources by different rulers.
    """
    first, second = subject.scores(member="a"), subject.scores(member="b")
    require(first.score != second.score, "the score does not depend on the source's images")
    require(
        _apart_from_subject(first.score) == _apart_from_subject(second.score),
        "work that does not read the source's images depends on the source",
    )
    require(set(first.controls) == set(second.controls), "the controls depend on the source")


def _apart_from_subject(score: Node) -> set[str]:
    reads: dict[str, bool] = {}

    def reads_subject(node: Node) -> bool:
        if node.digest not in reads:
            parents = [given.node if isinstance(given, Head) else given for _, given in node.inputs]
            reads[node.digest] = node.step.id == SUBJECT.id or any(map(reads_subject, parents))
        return reads[node.digest]

    return {node.digest for node in score.walk() if not reads_subject(node)}


def labels_of(subject: TaskSubject) -> Node:
    """Return the node of the test labels: the declared data set's, or what the score reads as its labels."""
    with subject.refusing():
        if subject.spec.labels is not None:
            return subject.bench.builder().dataset(*subject.spec.labels).labels
        labels = dict(subject.scores().score.inputs).get("labels")
    if not isinstance(labels, Node):
        raise NotApplicable("its score reads no labels")
    return labels


def labels_stay_with_the_score(subject: TaskSubject) -> None:
    """The labels of the test split are an input of `vgbench.score` and of nothing else.

    Whatever reads them earlier could teach with them.
    """
    nodes = nodes_of(subject)  # first: a form that is blocked has nothing to look at
    labels = labels_of(subject)
    for node in nodes:
        reads = any(given == labels for _, given in node.inputs)
        require(not reads or node.step.id == "vgbench.score", f"step {node.step.id} reads the test labels")
