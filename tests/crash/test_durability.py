"""Random kills, racing copies, Ctrl-C, a full disk: the rows equal an undisturbed run's each time."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.crash.running import MANY, SMALL, commits, finish, rows, start


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int, float]]:
    """Rows, shards made and seconds of both commands when nobody disturbs them."""
    found = {}
    for name, command in (("small", SMALL), ("many", MANY)):
        folder = tmp_path_factory.mktemp(name)
        begun = time.monotonic()
        made = finish(command, folder / "home", folder / "run")["shards_made"]
        found[name] = rows(folder / "run"), made, time.monotonic() - begun
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thirty_random_kills(tmp_path: Path, undisturbed: dict[str, tuple[str, int, float]]) -> None:
    """As many homes as it takes, each killed up to three times at uniform times, then finished."""
    expected, n_shards, seconds = undisturbed["small"]
    chance = random.Random(30)
    kills = 0
    for number in itertools.count():
        home, run_dir = tmp_path / f"home{number}", tmp_path / f"run{number}"
        made = 0
        for _ in range(3):
            process = start(SMALL, home, run_dir)
            time.sleep(chance.uniform(0.2, 0.7 * seconds))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
            process.communicate()
            time.sleep(0.2)  # its workers leave when their pipe closes
            before = commits(home)
            assert len(before) >= made, "something finished was lost"
            made = len(before)
        answer = finish(SMALL, home, run_dir)
        after = commits(home)
        assert rows(run_dir) == expected
        assert {path: after[path] for path in before} == before and answer["shards_made"] == n_shards - len(before)
        if kills >= 30:
            break


@pytest.mark.slow
def test_eight_racing_copies_share_the_work(
    tmp_path: Path, undisturbed: dict[str, tuple[str, int, float]], record_property: pytest.RecordProperty
) -> None:
    expected, n_shards, _ = undisturbed["many"]
    assert n_shards >= 200
    home = tmp_path / "home"
    copies = [start(MANY, home, tmp_path / f"run{i}") for i in range(8)]
    made = 0
    for i, copy in enumerate(copies):
        _, err = copy.communicate(timeout=280)
        assert copy.returncode == 0, err
        assert rows(tmp_path / f"run{i}") == expected
        made += sum(" made vgbench." in line for line in err.splitlines())
    record_property("made_over_shards", made / n_shards)
    assert n_shards <= made <= 1.2 * n_shards
    assert not list((home / "claims").iterdir())


UNCLAIMED = """
import sys
from pathlib import Path
from tests.crash.running import SMALL
from vgbench.claims import NoClaims
from vgbench.cli import ONE_THREAD
from vgbench.executors.local import LocalExecutor
from vgbench.locate import Locator
from vgbench.planning import Asked, make_plan
from vgbench.registry import Registry
from vgbench.runs import carry_out
from vgbench.store import Store

home, run_dir, path = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
registry = Registry()
plan = make_plan(Asked(SMALL[1:3], [SMALL[4]], {"images_per_class": [SMALL[6]]}), registry, Store(home), Locator())
executor = LocalExecutor(2, {"PATH": path, **ONE_THREAD}, run_dir / "logs")
outcome = carry_out(plan, registry, store=Store(home), executor=executor, run_dir=run_dir, claims=NoClaims())
print(outcome.shards_made)
"""


@pytest.mark.slow
def test_without_claims_racing_copies_are_still_right(
    tmp_path: Path, undisturbed: dict[str, tuple[str, int, float]]
) -> None:
    """Four copies whose claims do nothing: they make much of it several times, and the first commit wins."""
    expected, n_shards, _ = undisturbed["small"]
    home = tmp_path / "home"
    copies = []
    for i in range(4):
        command = [sys.executable, "-c", UNCLAIMED, str(home), str(tmp_path / f"run{i}"), os.environ["PATH"]]
        copies.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT))
    made = 0
    for i, copy in enumerate(copies):
        out, err = copy.communicate(timeout=280)
        assert copy.returncode == 0, err
        assert rows(tmp_path / f"run{i}") == expected
        made += int(out)
    assert made > 1.2 * n_shards, "they did not race"
    assert len(commits(home)) == n_shards and not list((home / "tmp").iterdir())


def test_claim_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = start(SMALL, home, tmp_path / "run")
    assert process.stderr is not None
    next(line for line in process.stderr if " made " in line)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert list((home / "claims").iterdir())
    begun = time.monotonic()
    finish(SMALL, home, tmp_path / "run")
    assert time.monotonic() - begun < 25  # below the 30 s after which a silent claim is stale


@pytest.mark.slow
@pytest.mark.parametrize(("sig", "moments"), [(signal.SIGINT, 10), (signal.SIGTERM, 3)])
def test_interrupted_run_leaves_soon_and_says_how_to_go_on(
    tmp_path: Path, undisturbed: dict[str, tuple[str, int, float]], sig: signal.Signals, moments: int
) -> None:
    expected, n_shards, _ = undisturbed["small"]
    chance = random.Random(int(sig))
    stopped = 0
    for number in range(moments):
        home, run_dir = tmp_path / f"home{number}", tmp_path / f"run{number}"
        process = start(SMALL, home, run_dir)
        assert process.stderr is not None
        made = (line for line in process.stderr if " made " in line)
        next(itertools.islice(made, chance.randrange(n_shards - 10), None))
        time.sleep(chance.uniform(0, 0.05))
        begun = time.monotonic()
        process.send_signal(sig)
        _, err = process.communicate(timeout=30)
        assert time.monotonic() - begun <= 10
        if process.returncode != 0:  # else it was finished already
            assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[sig]
            assert "the same command goes on from here" in err and "vgbench run --source original" in err
            assert "Traceback" not in err
            stopped += 1
        assert not list((home / "tmp").iterdir()) and not list((home / "claims").iterdir())
        finish(SMALL, home, run_dir)
        assert rows(run_dir) == expected
    assert stopped > moments / 2


def test_second_interrupt_leaves_at_once(tmp_path: Path) -> None:
    """A long step is running: the first Ctrl-C gives it some seconds, the second none."""
    command = ["--source", "original", "--tasks", "digits:backbone"]
    process = start(command, tmp_path / "home", tmp_path / "run")
    assert process.stderr is not None
    next(line for line in process.stderr if " started vgbench.pretrain" in line)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130 and time.monotonic() - begun < 5


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB; where mounting is refused the file size limit below stands for it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs here ({mounted.stderr.strip()}): the file size limit below stands for it")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_stops_cleanly_and_goes_on_with_room(
    tmp_path: Path, small_disk: Path, undisturbed: dict[str, tuple[str, int, float]]
) -> None:
    """Somebody else fills the disk up while the run is under way."""
    expected, n_shards, _ = undisturbed["small"]
    home = small_disk / "home"
    process = start(SMALL, home, tmp_path / "run")
    assert process.stderr is not None
    next(line for line in process.stderr if " made " in line)
    with contextlib.suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(100_000))
    _, err = process.communicate(timeout=200)
    assert process.returncode == 1 and "no space left" in err and "the same command" in err
    assert "Traceback" not in err
    finished = commits(home)
    assert 0 < len(finished) < n_shards and not list((home / "tmp").iterdir())
    (small_disk / "ballast").unlink()
    answer = finish(SMALL, home, tmp_path / "run")
    assert rows(tmp_path / "run") == expected and answer["shards_made"] == n_shards - len(finished)


def test_file_size_limit_is_a_full_disk(tmp_path: Path, undisturbed: dict[str, tuple[str, int, float]]) -> None:
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000));"
        "from vgbench.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    home, run_dir = tmp_path / "home", tmp_path / "run"
    env = {**os.environ, "VGBENCH_HOME": str(home)}
    command = [sys.executable, "-c", limited, "run", *SMALL, "-o", str(run_dir)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=200, check=False)
    assert done.returncode == 1 and "no space left" in done.stderr and "Traceback" not in done.stderr
    finish(SMALL, home, run_dir)
    assert rows(run_dir) == undisturbed["small"][0]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_run_that_cannot_fit_is_refused_before_it_starts(tmp_path: Path) -> None:
    command = ["--source", "toybox:micro_batch=1000000", "--tasks", "digits", "--images-per-class", "100000000"]
    process = start(command, tmp_path / "home", tmp_path / "run")
    _, err = process.communicate(timeout=100)
    assert process.returncode == 2 and "would write about" in err and "--home" in err
    assert not (tmp_path / "home").exists()
