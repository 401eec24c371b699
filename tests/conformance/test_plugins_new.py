"""`vgbench plugins new`: the package is green as generated, installed by pip, and used by the commands a user types."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Answer

RUNS = {"source": ("--source", "sign", "--tasks", "digits"), "task": ("--source", "toybox", "--tasks", "sign")}


def python(*args: str, cwd: Path, path: Path | None = None) -> None:
    """Run Python with a folder of installed packages on its path; the test fails with what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(path or ""), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *args], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("kind", RUNS)
def test_generated_package_is_green_untouched(vgbench: Callable[..., Answer], tmp_path: Path, kind: str) -> None:
    begun = vgbench("plugins", "new", kind, "sign")
    assert begun.code == 0 and "vgbench plugins check vgbench-sign" in begun.out
    package = tmp_path / "vgbench-sign"
    assert len(list(package.glob("vgbench_sign/*.py"))) == 2
    site = tmp_path / "site"
    quiet = ("--quiet", "--disable-pip-version-check")
    python(
        "-m",
        "pip",
        "install",
        *quiet,
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(site),
        str(package),
        cwd=tmp_path,
    )
    env = {"PYTHONPATH": str(site)}
    checked = vgbench("plugins", "check", "vgbench-sign", "--json", env=env)
    assert checked.code == 0, checked.out + checked.err
    assert set(checked.json["counts"]) == {"ok"}
    ran = vgbench("run", *RUNS[kind], "--images-per-class", "20", "--json", env=env)
    assert ran.code == 0 and ran.json["cells"][0]["status"] == "ok", ran.out + ran.err
    assert ran.json["cells"][0]["value"] > 0.2  # chance is 0.1: it teaches something
    options = ("-q", "-p", "no:cacheprovider", "-W", "error")
    python("-m", "pytest", *options, "--rootdir", str(package), str(package), cwd=package, path=site)


@pytest.mark.parametrize(
    ("name", "what", "hint"),
    [
        ("toybox", "the name 'toybox' is taken by vgbench", "my-toybox"),
        ("digits", "the name 'digits' is taken by vgbench", "my-digits"),
        ("Sign Posts", "'Sign Posts' is not a name", "'sign-posts'"),
        ("2fast", "'2fast' is not a name", "'fast'"),
        ("--", "required: name", None),
        ("../evil", "'../evil' is not a name", "'evil'"),
        ("vgbench-sign", "'vgbench-' is added", "plugins new … sign"),
        ("leaderboard", "vgbench_leaderboard) is installed already", "choose another"),
    ],
)
def test_name_that_cannot_be_used_is_refused(
    vgbench: Callable[..., Answer], tmp_path: Path, name: str, what: str, hint: str | None
) -> None:
    answer = vgbench("plugins", "new", "source", name)
    assert answer.code == 2 and what in answer.err and "Traceback" not in answer.err
    assert hint is None or hint in answer.err
    assert not list(tmp_path.iterdir()), "something was written"


def test_folder_that_holds_something_is_refused(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    kept = tmp_path / "mine" / "kept.txt"
    kept.parent.mkdir()
    kept.write_text("precious")
    answer = vgbench("plugins", "new", "task", "sign", "-o", "mine")
    assert answer.code == 2 and "not an empty folder" in answer.err
    assert kept.read_text() == "precious" and [p.name for p in kept.parent.iterdir()] == ["kept.txt"]
    assert vgbench("plugins", "new", "task", "sign", "-o", str(kept)).code == 2


def test_empty_folder_is_filled_and_json_says_so(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    answer = vgbench("plugins", "new", "source", "sign", "-o", "mine", "--json")
    assert answer.code == 0
    assert all((tmp_path / "mine" / name).read_text() for name in answer.json["files"])
    assert "$" not in "".join((tmp_path / "mine" / name).read_text() for name in answer.json["files"])
