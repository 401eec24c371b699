"""Things from outside → identity. A key holds what a thing is, never where it lies."""

from __future__ import annotations

import importlib.util
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from vgbench.errors import NotObserved, UsageError
from vgbench.listing import Listing, scan
from vgbench.store import hash_file, in_turn, write_file
from vgbench.types import DatasetSpec, Place, StepRef, WeightsSpec, sha256_hex

LOCK_FILE = "lock.json"
LOCK_SCHEMA = "vgbench.lock/1"
HUB = "hf://"  # what a place on the Hugging Face Hub begins with
_REPOSITORY = re.compile(r"((?:models/)?[\w.-]+(?:/[\w.-]+)?)(?:@([\w./-]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# A file changed twice within a tick of the file system's clock can look unchanged: what changed this shortly before
# it was hashed is hashed again next time (git's "racily clean" rule; 2 s is the coarsest clock in use, FAT's).
RACY_NS = 2_000_000_000
REMEMBER_FILES, REMEMBER_BYTES = 100, 1 << 24  # below both, hashing again takes less than 20 ms
TELL_FILES, TELL_BYTES = 5_000, 1 << 30  # from here on hashing takes seconds, and the user is told why
READ_COPY_IMAGES = StepRef("vgbench.read_copy", "1", "vgbench.steps.copy:images")
READ_COPY_LABELS = StepRef("vgbench.read_copy_labels", "2", "vgbench.steps.copy:labels")

State = Literal[
    "present",
    "needs download",
    "needs login",
    "licence click",
    "manual path",
    "changed",
    "not observed",
    "absent",
    "refused",  # of a copy that is to be added
]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a declared thing stands here: its state, where it lies, what it is, and what to do when it is not usable."""

    name: str
    state: State
    path: str | None = None
    identity: str | None = None
    layout: Literal["original", "parquet"] = "original"
    detail: str = ""
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Lock:
    """What was observed here: of data sets name → {identity?, path?, layout?, sample_ids? {split: SHA-256}, not_taken?
    {split: reason}}, of the Hub name@revision → commit."""

    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hub: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observed:
    """What a data set's reader found of a copy's splits: the hash of each one's sample ids, or why it is not taken."""

    sample_ids: Mapping[str, str]
    not_taken: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Locator:
    """Find declared data sets, weights and user paths, and say what they are.

    With a ``home`` its lock file is read, and a file's hash is remembered by its inode, size and times; without one,
    or if ``fresh``, every file is read once in this process. ``say`` gets a line when that will take a while.
    """

    home: Path | None = None
    say: Callable[[str], None] = lambda line: None
    fresh: bool = False
    _places: dict[str, Place] = field(default_factory=dict)

    def dataset(self, spec: DatasetSpec) -> Place:
        """Return where a data set lies, after comparing its bytes with the observed identity."""
        return _usable("data set", self.standing(spec))

    def readers(self, spec: DatasetSpec) -> tuple[StepRef, StepRef]:
        """Return the steps that read the images and the labels, in the layout in which the data set lies here."""
        if self.standing(spec).layout == "parquet":
            return READ_COPY_IMAGES, READ_COPY_LABELS
        return spec.read_images, spec.read_labels

    def sample_ids(self, spec: DatasetSpec, split: str) -> str | None:
        """Return the SHA-256 of a split's sorted sample ids: declared, or observed here; None when nobody knows it."""
        observed: Mapping[str, str] = read_lock(self.home).datasets.get(spec.name, {}).get("sample_ids", {})
        return spec.splits[split].sample_ids or observed.get(split)

    def not_taken(self, spec: DatasetSpec) -> Mapping[str, str]:
        """Return why splits are not taken: observed of the copy that is here, else what is known of the place."""
        entry = read_lock(self.home).datasets.get(spec.name, {})
        known: Mapping[str, str] = entry.get("not_taken", {} if "sample_ids" in entry else spec.lacks)
        return known

    def weights(self, spec: WeightsSpec) -> Place:
        """Return where weights lie, after comparing their bytes with the observed identity."""
        return _usable("weights", self.standing(spec))

    def path(self, value: str) -> Place:
        """Return a user's file, folder or pattern with its identity; ``UsageError`` when nothing lies there.

        ``//owner/name@commit`` is a repository of the Hugging Face Hub, known by its commit.
        """
        if value not in self._places:
            if value.startswith("//") and not Path(value).exists():
                self._places[value] = self._hub(value.removeprefix("//"))
            else:
                path = str(Path(value).expanduser().absolute())
                self._places[value] = Place(self._identified(path), path)
        return self._places[value]

    def identity(self, value: str) -> str:
        """Return a path's identity; the text itself where nobody has observed one, for the digest of a blocked cell."""
        try:
            return self.path(value).identity
        except NotObserved:
            return value

    def standing(self, spec: DatasetSpec | WeightsSpec) -> Standing:
        """Say how a declared thing stands here: a registered copy is preferred, then the place it declares."""
        entry = read_lock(self.home).datasets.get(spec.name, {}) if isinstance(spec, DatasetSpec) else {}
        if "path" in entry:
            return self._copy(spec.name, entry)
        expected = spec.sha256 or entry.get("identity")
        if spec.place.startswith(HUB):
            try:
                place = self._hub(spec.place.removeprefix(HUB))
            except NotObserved as error:
                return _not_fetched(spec, error)
            return Standing(spec.name, "present", place.path, place.identity)
        path = packaged(spec.place)
        if path is None:
            detail = f"{spec.place} is not here" if spec.place else "it has to be got by hand"
            if isinstance(spec, DatasetSpec) and spec.mirrors and not spec.place:
                detail += f": {'; '.join(spec.mirrors)}"
            state: State = "manual path" if isinstance(spec, DatasetSpec) and spec.access == "manual" else "absent"
            return Standing(spec.name, state, detail=detail, hint=f"vgbench data add {spec.name} PATH")
        if expected is None:
            detail, hint = "nobody has observed its checksum", "vgbench data fetch observes it"
            return Standing(spec.name, "not observed", str(path), detail=detail, hint=hint)
        found = self.path(str(path)).identity
        if found != expected:
            detail = f"{path} has SHA-256 {found[:12]}…, expected {expected[:12]}…"
            hint = "the file changed upstream; results would not be comparable"
            return Standing(spec.name, "changed", str(path), found, detail=detail, hint=hint)
        return Standing(spec.name, "present", str(path), expected)

    def observe(self, spec: DatasetSpec) -> Standing:
        """Write what a data set is into the lock file, where nobody declared it; return how it stands now."""
        standing = self.standing(spec)
        if standing.state == "not observed" and standing.path is not None:
            self._lock(spec.name, {"identity": self.path(standing.path).identity})
            return self.standing(spec)
        return standing

    def lock_samples(self, spec: DatasetSpec, observed: Observed) -> None:
        """Record the hashes of the sample ids of splits that nobody had observed, and which splits are not taken.

        Raises ``UsageError`` where one differs from what the data set declares, or what was observed here before.
        """
        entry = read_lock(self.home).datasets.get(spec.name, {})
        known: Mapping[str, str] = entry.get("sample_ids", {})
        _refuse_other_samples(spec, known, observed.sample_ids)
        samples = {"sample_ids": {**known, **observed.sample_ids}, "not_taken": dict(observed.not_taken)}
        self._lock(spec.name, {**entry, **samples})

    def add(
        self, spec: DatasetSpec, value: str, *, observed: Observed | None = None, replacing: bool = False
    ) -> Standing:
        """Register a local copy: Parquet, or the layout the data set's own reader expects.

        ``observed``: what its reader has found of the splits, where it has one. Raises ``UsageError`` when nothing lies
        there, a copy in the original layout has other bytes than declared, or its splits hold other samples than those
        declared or observed here before (unless it is ``replacing`` what was observed).
        """
        place = self.path(value)
        is_parquet = any(name.endswith(".parquet") for name in _names(scan(place.path)))
        layout = "parquet" if is_parquet and spec.reading is None else "original"
        entry = {"identity": place.identity, "path": place.path, "layout": layout}
        if observed is not None:
            known = {} if replacing else read_lock(self.home).datasets.get(spec.name, {}).get("sample_ids", {})
            _refuse_other_samples(spec, known, observed.sample_ids)
            self._lock(spec.name, {**entry, **asdict(observed)})
            return self.standing(spec)
        if layout == "original" and spec.sha256 is not None and place.identity != spec.sha256:
            raise UsageError(
                f"{value} has SHA-256 {place.identity[:12]}…, {spec.name} is declared as {spec.sha256[:12]}…",
                hint="a converted copy must be Parquet with the columns sample_id, split, image, class_id",
            )
        self._lock(spec.name, entry)
        return self.standing(spec)

    def _copy(self, name: str, entry: Mapping[str, Any]) -> Standing:
        path, expected = entry["path"], entry["identity"]
        again = f"vgbench data add {name} PATH"
        layout: Literal["original", "parquet"] = "parquet" if entry["layout"] == "parquet" else "original"
        try:
            found = self.path(path).identity
        except UsageError as error:
            return Standing(name, "absent", path, expected, layout, f"the copy that was added is gone: {error}", again)
        if found != expected:
            detail = f"{path} has identity {found[:12]}…, it was added as {expected[:12]}…"
            return Standing(name, "changed", path, found, layout, detail, again)
        return Standing(name, "present", path, expected, layout)

    def _hub(self, repository: str) -> Place:
        """Return a repository's place; known by the commit that was named, or observed of the revision that was."""
        match = _REPOSITORY.fullmatch(repository)
        if match is None:
            raise UsageError(f"{HUB}{repository} names no repository", hint="hf://OWNER/NAME@COMMIT")
        name, revision = match[1], match[2] or "main"
        commit = revision if _COMMIT.fullmatch(revision) else read_lock(self.home).hub.get(f"{name}@{revision}")
        if commit is None:
            raise NotObserved(
                f"{HUB}{name}@{revision} may change, and nobody has observed its commit",
                hint=f"name a commit of 40 hexadecimal digits, or: vgbench data fetch --source hf://{repository}",
            )
        return Place(f"hf:{name}@{commit}", f"{HUB}{name}@{commit}")

    def _lock(self, name: str, entry: Mapping[str, Any]) -> None:
        self._change_lock(lambda lock: replace(lock, datasets={**lock.datasets, name: dict(entry)}))

    def lock_hub(self, repository: str, commit: str) -> None:
        """Record the commit that ``name@revision`` was when it was fetched."""
        self._change_lock(lambda lock: replace(lock, hub={**lock.hub, repository: commit}))

    def _change_lock(self, changed: Callable[[Lock], Lock]) -> None:
        """Read, change and replace the lock; another process that does so waits, where the file system can."""
        if self.home is None:
            raise UsageError("without a home nothing can be recorded")
        with in_turn(self.home / LOCK_FILE):
            content = {"schema": LOCK_SCHEMA, **asdict(changed(read_lock(self.home)))}
            write_file(self.home / LOCK_FILE, json.dumps(content, indent=1, sort_keys=True) + "\n")

    # ── hashing, each file once ──────────────────────────────────────────────────────────────────

    def _identified(self, path: str) -> str:
        """Return what lies at a path: remembered when no file changed, else after reading the changed files only."""
        listing = scan(path)
        stamps = {name: " ".join(map(str, file)) for name, file in listing.files.items()}
        state = sha256_hex("\n".join(f"{len(name)} {name!a} {stamp}" for name, stamp in stamps.items()))
        memory = self._memory(path, listing)
        remembered = _first_line(memory)
        if remembered.get("state") == state:
            return str(remembered["identity"])
        known = _hashes(memory, stamps)
        began_ns = time.time_ns()
        try:
            self._hash([name for name in stamps if name not in known], listing, known)
        finally:  # an interrupted command need not read again what it has read
            complete = known.keys() == stamps.keys()
            identity = listing.identity(known.__getitem__) if complete else ""
            settled = [n for n in known if listing.files[n].ctime_ns < began_ns - RACY_NS]
            header = {"state": state if complete and len(settled) == len(stamps) else "", "identity": identity}
            lines = [json.dumps(header), *(json.dumps([n, stamps[n], known[n]]) for n in settled)]
            _remember(memory, lines)
        return identity

    def _memory(self, path: str, listing: Listing) -> Path | None:
        """Return the file that remembers a path's hashes; named by its inode, so that a renamed folder is known."""
        n_bytes = sum(file.size for file in listing.files.values())
        if self.home is None or self.fresh or (len(listing.files) < REMEMBER_FILES and n_bytes < REMEMBER_BYTES):
            return None
        pattern = Path(path).relative_to(listing.root).as_posix()
        return self.home / "identities" / f"{listing.root.stat().st_ino}-{sha256_hex(pattern)[:8]}.jsonl"

    def _hash(self, names: list[str], listing: Listing, known: dict[str, str]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        n_bytes = sum(listing.files[name].size for name in names)
        if len(names) > TELL_FILES or n_bytes > TELL_BYTES:
            self.say(
                f"reading {len(names):,} new or changed files ({n_bytes / 1e9:.1f} GB) of {listing.root} "
                "to know what they are; unchanged files are read only once"
            )

        def hashed(batch: list[str]) -> list[str]:
            return [hash_file(listing.path(name)) for name in batch]

        batches = [names[start : start + 64] for start in range(0, len(names), 64)]
        with ThreadPoolExecutor(4) as pool:  # hashing leaves the interpreter free: disks like several readers
            try:
                for batch, hashes in zip(batches, pool.map(hashed, batches), strict=True):
                    known.update(zip(batch, hashes, strict=True))
            except OSError as error:
                raise UsageError(f"{error.filename}: {(error.strerror or 'cannot be read').lower()}") from None


def read_lock(home: Path | None) -> Lock:
    """Read what was observed here; ``UsageError`` when the file is no lock file."""
    path = None if home is None else home / LOCK_FILE
    if path is None or not path.exists():
        return Lock()
    try:
        content = json.loads(path.read_text())
        if content["schema"] != LOCK_SCHEMA:
            raise ValueError(f"schema {content['schema']!r}")
        return Lock(content["datasets"], content["hub"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "move it away; `vgbench data fetch` and `data add` write a new one"
        raise UsageError(f"{path} is not a lock file: {error}", hint=hint) from error


def snapshot(place: str, environment: Mapping[str, str]) -> Path | None:
    """Return where the Hub's cache holds ``hf://[models/]owner/name@commit``, without its client; None if nowhere.

    ``environment``: what workers see, so the cache is theirs: ``HF_HOME`` or ~/.cache/huggingface, in it
    hub/datasets--OWNER--NAME/snapshots/COMMIT, of a model hub/models--… (huggingface_hub's layout).
    """
    name, _, commit = place.removeprefix(HUB).partition("@")
    kind = "models" if name.startswith("models/") else "datasets"
    name = name.removeprefix("models/")
    home = Path(environment.get("HF_HOME") or Path(environment.get("HOME") or "~", ".cache", "huggingface"))
    folder = home.expanduser() / "hub" / f"{kind}--{name.replace('/', '--')}" / "snapshots" / commit
    return folder if folder.is_dir() else None


def packaged(place: str) -> Path | None:
    """Return the file that ``package:file`` names, without importing the package; None when it is not installed."""
    package, separator, file = place.partition(":")
    if not separator or not package.replace(".", "").isidentifier():
        return None
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / file
    return path if path.exists() else None


def _not_fetched(spec: DatasetSpec | WeightsSpec, error: NotObserved) -> Standing:
    """Say what a repository of the Hub that nobody has fetched yet waits for."""
    if not isinstance(spec, DatasetSpec) or spec.reading is None:
        return Standing(spec.name, "not observed", detail=error.what, hint=error.hint)
    page = f"https://huggingface.co/datasets/{spec.place.removeprefix(HUB).partition('@')[0]}"
    fetch = f"vgbench data fetch {spec.name}, or: vgbench data add {spec.name} PATH"
    if spec.access == "licence click":
        return Standing(spec.name, "licence click", detail=page, hint=f"accept it there; hf auth login; {fetch}")
    if spec.access == "login":
        return Standing(spec.name, "needs login", detail=page, hint=f"hf auth login; {fetch}")
    return Standing(spec.name, "not observed", detail=error.what, hint=fetch)


def _refuse_other_samples(spec: DatasetSpec, known: Mapping[str, str], observed: Mapping[str, str]) -> None:
    declared = {name: split.sample_ids for name, split in spec.splits.items() if split.sample_ids is not None}
    for split, found in observed.items():
        expected = declared.get(split) or known.get(split)
        if expected is not None and found != expected:
            whose = "is declared with" if split in declared else f"was observed here ({LOCK_FILE}) with"
            raise UsageError(
                f"{spec.name}: the sample ids of split {split!r} have the hash {found[:12]}…; it {whose} "
                f"{expected[:12]}…",
                hint="its results would not compare with earlier ones; if another copy is meant: data add --replace",
            )


def _usable(kind: str, standing: Standing) -> Place:
    if standing.state != "present" or standing.identity is None or standing.path is None:
        raise NotObserved(f"{kind} {standing.name!r}: {standing.detail}", hint=standing.hint)
    return Place(standing.identity, standing.path)


def _names(listing: Listing) -> Iterable[str]:
    return (listing.path(name).name for name in listing.files)


def _first_line(memory: Path | None) -> dict[str, Any]:
    try:
        with memory.open() as file:  # type: ignore[union-attr]  # None: an AttributeError, as nothing is remembered
            header: dict[str, Any] = json.loads(file.readline())
            return header
    except (OSError, ValueError, AttributeError):
        return {}


def _hashes(memory: Path | None, stamps: Mapping[str, str]) -> dict[str, str]:
    """Return the remembered hashes of the files that did not change."""
    known: dict[str, str] = {}
    if memory is None or not memory.exists():
        return known
    with memory.open() as file:
        next(file, None)
        for line in file:
            try:
                name, stamp, sha256 = json.loads(line)
            except ValueError:  # damaged: read the files again
                return {}
            if stamps.get(name) == stamp:
                known[name] = sha256
    return known


def _remember(memory: Path | None, lines: list[str]) -> None:
    """Keep hashes for the next command; a home that cannot be written is no reason to refuse a plan."""
    if memory is not None:
        try:
            write_file(memory, "\n".join(lines) + "\n")
        except OSError:
            return
