"""The wheel in a clean environment without torch, as a stranger has it, with real third-party plugins installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import ROOT, Answer

THIRD_PARTY = ROOT / "tests" / "thirdparty"
CHANCE = 0.1
slow = pytest.mark.slow  # whatever needs the environment: making it takes half a minute


@dataclass(frozen=True)
class Installed:
    """A clean environment, and the private home and working folder of the commands that run in it."""

    bin: Path
    work: Path

    def run(self, program: str, *args: str) -> Answer:
        """Run one of the environment's programs, without anything of ours in its way."""
        ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        environment |= {"VGBENCH_HOME": str(self.work / "home"), "OMP_NUM_THREADS": "1"}
        command = [str(self.bin / program), *args]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.work, env=environment, timeout=280)
        return Answer(done.returncode, done.stdout, done.stderr)

    def vgbench(self, *args: str) -> Answer:
        answer = self.run("vgbench", *args)
        assert "Traceback" not in answer.err
        return answer

    def pip(self, *args: str) -> None:
        answer = self.run("python", "-m", "pip", "--quiet", "--disable-pip-version-check", *args)
        assert answer.code == 0, answer.err

    @contextmanager
    def having(self, plugin: str) -> Iterator[None]:
        """Install a plugin for a while, as a user would: pip builds it by itself."""
        self.pip("install", str(THIRD_PARTY / plugin))
        try:
            yield
        finally:
            self.pip("uninstall", "--yes", plugin)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    """The wheel with its base dependencies, and the acme plugin."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder / "venv", with_pip=True)
    installed = Installed(folder / "venv" / "bin", folder)
    installed.pip("install", "-c", str(ROOT / "constraints.txt"), str(wheel))
    installed.pip("install", str(THIRD_PARTY / "vgbench-acme"))
    return installed


@pytest.fixture
def with_broken(clean: Installed) -> Iterator[Installed]:
    with clean.having("vgbench-broken"):
        yield clean


@pytest.fixture
def with_rival(clean: Installed) -> Iterator[Installed]:
    with clean.having("vgbench-rival"):
        yield clean


def test_wheel_holds_four_typed_packages_with_their_data_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    packages = {"vgbench", "vgbench_plugins", "vgbench_tasks", "vgbench_leaderboard"}
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == packages
    assert {f"{package}/py.typed" for package in packages} <= names
    assert {"vgbench_tasks/digits/classes.json", "vgbench_tasks/digits/split.json"} <= names
    assert not [name for name in names if name.endswith(".pyc") or "tests" in name.split("/")]


def test_wheel_holds_every_module_and_data_file_of_the_tree(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for house in ("harness", "plugins", "tasks", "leaderboard"):
        for path in (ROOT / house).rglob("*"):
            if path.is_file() and path.suffix != ".pyc" and not path.name.startswith("."):
                assert path.relative_to(ROOT / house).as_posix() in names


def test_acme_is_two_small_files() -> None:
    files = list((THIRD_PARTY / "vgbench-acme").rglob("*.py"))
    assert len(files) == 2 and sum(len(path.read_text().splitlines()) for path in files) <= 50


@slow
def test_environment_is_clean(clean: Installed) -> None:
    code = (
        "import importlib.util as u, json, vgbench; print(json.dumps([vgbench.__file__, bool(u.find_spec('torch'))]))"
    )
    place, has_torch = clean.run("python", "-c", code).json
    assert Path(place).is_relative_to(clean.bin.parent) and not has_torch
    assert clean.run("python", "-m", "pip", "check").code == 0


@slow
def test_stranger_scores_a_source_and_the_original_without_torch(clean: Installed) -> None:
    asked = ["--source", "acme", "original", "--tasks", "digits", "--images-per-class", "50", "-o", "scored"]
    answer = clean.vgbench("run", *asked, "--json")
    assert answer.code == 0, answer.err
    cells = {cell["source"]: cell for cell in answer.json["cells"]}
    assert {name: cell["status"] for name, cell in cells.items()} == {"acme": "ok", "original": "ok"}
    assert cells["acme"]["ci"]["lo"] > 2 * CHANCE and cells["original"]["value"] > 0.9
    board = json.loads((clean.work / "scored" / "leaderboard.json").read_text())
    assert {row["source"]: row["distribution"] for row in board["rows"]} == {
        "acme": "vgbench-acme",
        "original": "vgbench",
    }
    again = clean.vgbench("run", *asked, "--json")
    assert again.code == 0 and again.json["shards_made"] == 0


@slow
def test_listing_showing_planning_and_schemas_work_without_torch(clean: Installed) -> None:
    entries = {(entry["name"], entry["distribution"]) for entry in clean.vgbench("list", "--json").json}
    assert {("acme", "vgbench-acme"), ("original", "vgbench"), ("digits", "vgbench")} <= entries
    shown = clean.vgbench("show", "acme")
    assert shown.code == 0 and "vgbench-acme" in shown.out and "shift_px=3" in shown.out
    (described,) = clean.vgbench("show", "acme", "--json").json
    assert [option["name"] for option in described["options"]] == ["shift_px", "micro_batch"]
    plan = clean.vgbench("plan", "--source", "acme:shift_px=1", "--tasks", "digits", "--json")
    assert plan.code == 0 and {"vgbench-acme.light", "vgbench.score"} <= {node["step"] for node in plan.json["nodes"]}
    assert clean.vgbench("schema", "cell").json["title"] == "Cell"
    doctor = clean.vgbench("plugins", "doctor", "--json")
    assert doctor.code == 0 and "acme" in {plugin["name"] for plugin in doctor.json["plugins"]}


@slow
def test_task_that_needs_torch_says_so(clean: Installed) -> None:
    asked = ["--source", "original", "--tasks", "digits:backbone", "--images-per-class", "5", "-o", "untrained"]
    answer = clean.vgbench("run", *asked)
    assert answer.code in (1, 3) and "torch" in answer.err


@slow
def test_broken_plugin_is_named_and_stops_no_command(with_broken: Installed) -> None:
    cause = "ModuleNotFoundError: No module named 'a_package_that_nobody_has'"
    doctor = with_broken.vgbench("plugins", "doctor")
    assert doctor.code == 1 and "vgbench-broken" in doctor.out and cause in doctor.out
    failures = {
        plugin["distribution"]: plugin["failure"]
        for plugin in with_broken.vgbench("plugins", "doctor", "--json").json["plugins"]
        if plugin["failure"]
    }
    assert failures == {"vgbench-broken": cause}

    listed = with_broken.vgbench("list", "--json")
    assert {"acme", "original"} <= {entry["name"] for entry in listed.json} and listed.code == 0
    warned = with_broken.vgbench("list")
    assert warned.code == 0 and "acme" in warned.out
    assert "warning" in warned.err and "vgbench-broken" in warned.err and cause in warned.err

    for args in (
        ["--help"],
        ["--version"],
        ["show", "acme"],
        ["plan", "--source", "acme", "--tasks", "digits"],
        ["run", "--source", "acme", "--tasks", "digits", "--images-per-class", "50", "-o", "beside"],
        ["leaderboard", "build", "beside"],
        ["cache", "ls"],
        ["cache", "verify"],
        ["plugins", "list"],
        ["schema", "cell"],
    ):
        answer = with_broken.vgbench(*args)
        assert answer.code == 0, (args, answer.err)


@slow
def test_unknown_source_names_the_plugin_that_might_have_offered_it(with_broken: Installed) -> None:
    answer = with_broken.vgbench("plan", "--source", "moonshine", "--tasks", "digits", "--json")
    assert answer.code == 2
    assert answer.json["error"]["what"] == "no source is called 'moonshine'"
    assert "broken (vgbench-broken)" in answer.json["error"]["hint"]
    assert "plugins doctor" in answer.json["error"]["hint"]


@slow
def test_name_declared_twice_is_refused_only_when_asked_for(with_rival: Installed) -> None:
    listed = with_rival.vgbench("list", "--json")
    assert listed.code == 0
    assert {entry["distribution"] for entry in listed.json if entry["name"] == "acme"} == {
        "vgbench-acme",
        "vgbench-rival",
    }
    toybox = ["--source", "toybox:micro_batch=64", "--tasks", "digits", "--images-per-class", "20", "-o", "other"]
    assert with_rival.vgbench("run", *toybox).code == 0
    assert with_rival.vgbench("plan", "--source", "original", "--tasks", "digits").code == 0
    for command in ("plan", "run"):
        refused = with_rival.vgbench(command, "--source", "acme", "--tasks", "digits", "--json")
        assert refused.code == 2
        assert refused.json["error"]["hint"] == "ask for one of vgbench-acme::acme, vgbench-rival::acme"
        assert "ask for one of vgbench-acme::acme, vgbench-rival::acme" in refused.err


@slow
def test_name_that_the_refusal_tells_to_use_works(with_rival: Installed) -> None:
    for distribution in ("vgbench-acme", "vgbench-rival"):
        name = f"{distribution}::acme"
        assert with_rival.vgbench("plan", "--source", name, "--tasks", "digits").code == 0
        shown = with_rival.vgbench("show", name, "--json")
        assert shown.code == 0, shown.err
        assert [thing["distribution"] for thing in shown.json] == [distribution]


@slow
def test_equal_names_share_neither_cell_nor_image(with_rival: Installed) -> None:
    distributions = ("vgbench-acme", "vgbench-rival")

    def planned(*sources: str) -> tuple[set[str], dict[str, set[str]]]:
        """Return the digests of cells and scores, and those of the image nodes of each distribution."""
        plan = with_rival.vgbench("plan", "--source", *sources, "--tasks", "digits", "--json").json
        steps = {d: {n["digest"] for n in plan["nodes"] if n["step"] == f"{d}.light"} for d in distributions}
        return {digest for cell in plan["cells"] for digest in (cell["digest"], cell["score"])}, steps

    acme, rival = (planned(f"{distribution}::acme") for distribution in distributions)
    both = planned(*(f"{distribution}::acme" for distribution in distributions))
    assert len(acme[0]) == len(rival[0]) == 2 and acme[0].isdisjoint(rival[0]) and both[0] == acme[0] | rival[0]
    assert len(acme[1]["vgbench-acme"]) == len(rival[1]["vgbench-rival"]) == 10
    assert not acme[1]["vgbench-rival"] and not rival[1]["vgbench-acme"]
    assert acme[1]["vgbench-acme"].isdisjoint(rival[1]["vgbench-rival"])
    assert both[1] == {"vgbench-acme": acme[1]["vgbench-acme"], "vgbench-rival": rival[1]["vgbench-rival"]}


@slow
def test_equal_names_are_told_apart_in_results(with_rival: Installed) -> None:
    asked = ["vgbench-acme::acme", "vgbench-rival::acme"]
    plan = with_rival.vgbench("plan", "--source", *asked, "--tasks", "digits", "--json").json
    assert [cell.get("distribution") for cell in plan["cells"]] == ["vgbench-acme", "vgbench-rival"]
