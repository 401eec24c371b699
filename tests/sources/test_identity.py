"""What lies at a path: listings, identities, and what of them is remembered."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vgbench import locate
from vgbench.errors import NotObserved, UsageError
from vgbench.listing import scan
from vgbench.locate import Locator
from vgbench.types import canonical_json, sha256_hex


def identity(path: Path, home: Path | None = None) -> str:
    return Locator(home).path(str(path)).identity


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for i in range(3):
        (root / f"class-{i}").mkdir(parents=True)
        for k in range(40):
            (root / f"class-{i}" / f"{k}.png").write_bytes(f"{i}/{k}".encode())
    return root


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take files as settled that were written a moment ago."""
    monkeypatch.setattr(locate, "RACY_NS", -60 * 10**9)


def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record which files are read."""
    read: list[str] = []
    real = locate.hash_file

    def record(path: Path) -> str:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(locate, "hash_file", record)
    return read


def test_identity_is_of_the_sorted_listing(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_bytes(b"1")
    (tmp_path / "a").write_bytes(b"22")
    listing = [["a", 2, sha256_hex("22")], ["b/x", 1, sha256_hex("1")]]
    assert identity(tmp_path) == sha256_hex(canonical_json(listing))
    assert identity(tmp_path / "a") == sha256_hex("22")


def test_one_changed_byte_changes_it_and_a_new_name_of_the_folder_does_not(folder: Path, tmp_path: Path) -> None:
    before = identity(folder)
    moved = folder.rename(tmp_path / "elsewhere")
    assert identity(moved) == before
    (moved / "class-1" / "7.png").write_bytes(b"1/8")
    assert identity(moved) != before


def test_hidden_files_are_left_out(folder: Path) -> None:
    before = identity(folder)
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x").write_bytes(b"x")
    assert identity(folder) == before


@pytest.mark.usefixtures("old")
def test_unchanged_files_are_read_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, read = tmp_path / "home", hashed(monkeypatch)
    first = identity(folder, home)
    assert len(read) == 120
    assert identity(folder, home) == first and len(read) == 120
    moved = folder.rename(tmp_path / "elsewhere")
    assert identity(moved, home) == first and len(read) == 120
    (moved / "class-0" / "new.png").write_bytes(b"new")
    second = identity(moved, home)
    assert second != first and read[120:] == ["new.png"] and second == identity(moved)


@pytest.mark.usefixtures("old")
def test_change_that_keeps_size_and_time_is_seen(folder: Path, tmp_path: Path) -> None:
    home, file = tmp_path / "home", folder / "class-0" / "0.png"
    before, status = identity(folder, home), file.stat()
    file.write_bytes(b"9/9")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_size == status.st_size and identity(folder, home) != before


def test_files_written_a_moment_ago_are_not_trusted(folder: Path, tmp_path: Path) -> None:
    """Two writes within one tick of the file system's clock may leave the same inode, size and times."""
    identity(folder, tmp_path / "home")
    (memory,) = (tmp_path / "home" / "identities").iterdir()
    header, *files = memory.read_text().splitlines()
    assert json.loads(header)["state"] == "" and files == []


@pytest.mark.usefixtures("old")
def test_fresh_reads_every_byte(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    identity(folder, home)
    read = hashed(monkeypatch)
    Locator(home, fresh=True).path(str(folder))
    assert len(read) == 120


def test_home_that_cannot_be_written_is_no_reason_to_refuse(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert identity(folder, tmp_path / "file" / "home") == identity(folder)


@pytest.mark.usefixtures("old")
def test_damaged_memory_is_not_believed(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = identity(folder, home)
    (memory,) = (home / "identities").iterdir()
    memory.write_text('{"state": "" \n garbage')
    assert identity(folder, home) == before


def test_patterns(folder: Path) -> None:
    assert list(scan(f"{folder}/class-1/1*.png").files)[:2] == ["1.png", "10.png"]
    assert list(scan(f"{folder}/class-{{1..2}}/{{08..09}}.png".replace("08..09", "8..9")).files) == [
        "class-1/8.png", "class-1/9.png", "class-2/8.png", "class-2/9.png",
    ]  # fmt: skip
    one, two = identity(Path(f"{folder}/class-1/*")), identity(Path(f"{folder}/class-2/*"))
    assert one != two
    (folder / "[odd]").mkdir()
    (folder / "[odd]" / "x").write_bytes(b"")
    assert list(scan(str(folder / "[odd]")).files) == ["x"]


@pytest.mark.parametrize(
    ("path", "what", "hint"),
    [
        ("dat", "no such file or folder", "data"),
        ("data/clas-1/x", "no such file or folder", "class-1"),
        ("empty", "the folder is empty", None),
        ("data/*.tar", "no file matches", None),
        ("dat/*.tar", "no such file or folder", "data"),
        ("data/class-{0..5}/0.png", "class-3/0.png: missing", None),
        ("data/broken", "broken: no such file", None),
        ("data/loop", "a link that leads back", None),
    ],
)
def test_what_cannot_be_read_is_refused(folder: Path, tmp_path: Path, path: str, what: str, hint: str | None) -> None:
    (tmp_path / "empty" / "nothing").mkdir(parents=True)
    if "broken" in path:
        (folder / "broken").mkdir()
        (folder / "broken" / "broken").symlink_to("nowhere")
    if "loop" in path:
        (folder / "loop").mkdir()
        (folder / "loop" / "up").symlink_to(folder / "loop")
    with pytest.raises(UsageError, match=what) as error:
        Locator().path(str(tmp_path / path))
    assert hint is None or hint in (error.value.hint or "")


def test_hub_needs_a_commit(tmp_path: Path) -> None:
    commit = "a" * 40
    assert Locator().path(f"//me/digits@{commit}").identity == f"hf:me/digits@{commit}"
    for revision in ("", "@main", "@v1.0", "@abc"):
        with pytest.raises(NotObserved, match="nobody has observed its commit"):
            Locator(tmp_path).path(f"//me/digits{revision}")
    with pytest.raises(UsageError, match="names no repository"):
        Locator().path("//me/digits/more")


def test_damaged_lock_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_text("{")
    with pytest.raises(UsageError, match=r"lock\.json is not a lock file"):
        locate.read_lock(tmp_path)


def test_two_at_once_lose_no_entry_of_the_lock(tmp_path: Path) -> None:
    """Each reads, changes and replaces the whole file: they must take turns."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: Locator(tmp_path).lock_hub(f"me/set-{i}", f"{i:040x}"), range(60)))
    assert len(locate.read_lock(tmp_path).hub) == 60


# The kernel counts a child's peak from the fork on, with its parent's memory; VmHWM begins anew at exec.
PEAK = """
import sys
from pathlib import Path
from vgbench.cli import main
code = main(sys.argv[1:])
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line).split()[1])
sys.exit(code)
"""


@pytest.mark.slow
def test_plan_of_200_000_files_is_quick_and_small(tmp_path: Path) -> None:
    for digit in range(10):
        (tmp_path / "many" / f"digit-{digit}").mkdir(parents=True)
        for i in range(20_000):
            (tmp_path / "many" / f"digit-{digit}" / f"{i:05d}.png").write_bytes(b"%d/%d" % (digit, i))
    env = {**os.environ, "VGBENCH_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", PEAK, "plan", "--source", f"folder:{tmp_path}/many", "--tasks", "digits"]
    seconds, megabytes = [], []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        megabytes.append(int(done.stdout.split()[-1]) / 1024)
    assert min(seconds[1:]) < 5, seconds  # of the processor: other tests run beside this one
    assert max(megabytes) < 500
