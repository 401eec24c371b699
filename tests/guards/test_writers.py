"""Nothing writes files but the store and the bodies of steps: no other code can leave a half-written artifact."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.guards.product import ROOT, Module, copy_product, modules

# whose work is writing: why
MODULES = {
    "vgbench/store.py": "commits, and puts whole files and folders in place",
    "vgbench/claims.py": "who makes what: advisory files that no result depends on",
    "vgbench/formats.py": "what is exported, below a staging folder of store.whole_folder",
    "vgbench/bench/calibration/rows.py": "a benchmark's rows, which no cell rests on",
    "vgbench/bench/calibration/report.py": "a benchmark's page and pictures",
    "vgbench/toybox/train/clip.py": "a foundation model in the folder that was asked for",
    "vgbench/toybox/train/judge.py": "a foundation model's judge, likewise",
    "vgbench/toybox/train/vae.py": "a foundation model, likewise",
    "vgbench/toybox/train/diffusion.py": "a foundation model, likewise",
    "vgbench/toybox/train/tokenizer.py": "the tokenizer of a foundation model, likewise",
    "vgbench/toybox/train/running.py": "the state of a training that can be stopped, likewise",
    "vgbench/bench/generate.py": "a pipeline and a shard in a temporary folder, which only a benchmark reads",
    "vgbench/bench/pretrain.py": "a training copy in a temporary folder, which only a benchmark reads",
    "vgbench/bench/knn.py": "an index in a temporary folder, which only a benchmark reads",
    "vgbench/neighbours.py": "an index in the folder that a step's body or a benchmark gives",
    "vgbench_plugins/retrieval/corpus.py": "a corpus's table, for step bodies",
    "vgbench_tasks/datasets/factors.py": "the labels of a test set with factors, for step bodies",
    "vgbench_plugins/retrieval/command.py": "an index, below a staging folder of store.whole_folder",
    "vgbench/judging.py": "checkpoints of a step's body, in its scratch folder",
    "vgbench/conformance/bench.py": "the throw-away home in which a plugin is tried, removed with its bench",
}
# single calls elsewhere (module, the function it stands in, the call): why
CALLS = {
    ("vgbench/testing/forms.py", "form", "write_text"): "a corpus in the throw-away folder of a check",
    ("vgbench/images.py", "write_table", "pyarrow.parquet.write_table"): "how step bodies write Parquet",
    ("vgbench/executors/local.py", "_start", "mkdir"): "the folder of worker logs, which no result depends on",
    ("vgbench/executors/local.py", "_start", "open"): "a worker's log",
    ("vgbench_leaderboard/aggregate/plot.py", "draw", "savefig"): "a picture that the user asked for",
    ("vgbench/cli.py", "main", "os.open"): "the null device, once the reader has left",
}
# where a violation is planted, and where writing is the work
PLACES = (
    "harness/vgbench/planning.py",
    "harness/vgbench/executors/local.py",
    "harness/vgbench/images.py",
    "plugins/vgbench_plugins/toybox/__init__.py",
    "tasks/vgbench_tasks/probes/logistic.py",
    "leaderboard/vgbench_leaderboard/build.py",
)
BODIES = ("harness/vgbench/steps/score.py", "tasks/vgbench_tasks/digits/read.py", "harness/vgbench/store.py")
# functions that write, by full name; a module stands for all of its functions
WRITERS = {
    *("tempfile", "torch.save", "json.dump", "pyarrow.OSFile", "shutil.make_archive", "shutil.move", "shutil.rmtree"),
    *("shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.copyfileobj", "shutil.copytree", "shutil.copymode"),
    *("os.link", "os.symlink", "os.mkdir", "os.makedirs", "os.remove", "os.unlink", "os.rmdir", "os.removedirs"),
    *("os.rename", "os.renames", "os.replace", "os.truncate", "os.mkfifo"),
    *("numpy.save", "numpy.savez", "numpy.savez_compressed", "numpy.savetxt"),
    *(f"vgbench.images.write_{what}" for what in ("shard", "index", "labels", "pack", "table")),
}
# methods that write, whatever they belong to
METHODS = {
    *("write_text", "write_bytes", "mkdir", "rmdir", "unlink", "touch", "rename", "symlink_to", "hardlink_to"),
    *(
        "save_file",
        "save_pretrained",
        "savefig",
        "tofile",
        "to_csv",
        "to_parquet",
        "write_table",
        "write_to_dataset",
        "write_feather",
    ),
    *("ParquetWriter", "extractall"),
}
OPENS = {"open", "ZipFile", "TarFile"}
OPENERS = {"io.open", "gzip.open", "bz2.open", "lzma.open", "codecs.open", "tarfile.open", "zipfile.ZipFile"}
MODE = re.compile(r"([rwaxbtU+]+)([:|]\w*)?")
CREATING_FLAGS = {"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"}


def writers(tree_root: Path) -> list[str]:
    """Return "path:line: call" for whoever writes files outside step bodies and the lists above."""
    found = list(modules(tree_root))
    bodies = step_bodies(found)
    return [
        f"{module.path}:{line}: {call}"
        for module in found
        if module.path not in MODULES and module.name not in bodies and not module.name.startswith("vgbench.steps.")
        for place, line, call in writes_of(module)
        if (module.path, place, call) not in CALLS
    ]


def step_bodies(found: list[Module]) -> set[str]:
    """Return the modules that a ``StepRef`` names as its entry."""
    bodies = set()
    for module in found:
        for _, call in module.calls():
            if (module.full_name(call.func) or "").rpartition(".")[2] == "StepRef":
                given = [*call.args[2:3], *(k.value for k in call.keywords if k.arg == "entry")]
                bodies |= {str(e.value).partition(":")[0] for e in given if isinstance(e, ast.Constant)}
    return bodies


def writes_of(module: Module) -> Iterator[tuple[str, int, str]]:
    """Yield (the function it stands in, line, what is called) for every call that may write a file."""
    memory = _names_of_buffers(module)
    for place, call in module.calls():
        full, short = module.full_name(call.func), _last(call.func)
        if isinstance(call.func, ast.Name) and full is None and short != "open":
            continue  # a function of the module itself: its body is looked at where it stands
        if (
            _is_writer(call, full, short) or (short in OPENS and _opens_for_writing(call, full))
        ) and not _is_for_memory(call, short, memory):
            yield place, call.lineno, full or short


def _is_writer(call: ast.Call, full: str | None, short: str) -> bool:
    if full in WRITERS or (full or "").partition(".")[0] in WRITERS or short in METHODS or short == "save":
        return True
    # path.replace(target), but not text.replace(old, new), nor dataclasses.replace(value, field=…)
    return short == "replace" and full is None and len(call.args) == 1 and not call.keywords


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _names_of_buffers(module: Module) -> set[str]:
    """Return the variables that hold an ``io.BytesIO`` or ``io.StringIO``, and the standard streams."""
    names = {"stdout", "stderr"}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made = _last(node.value.func)
            names |= {_last(target) for target in node.targets if made in ("BytesIO", "StringIO")}
    return names


def _is_for_memory(call: ast.Call, short: str, memory: set[str]) -> bool:
    """Say whether ``image.save(buffer)`` or ``json.dump(value, buffer)`` writes into memory or a standard stream."""
    target = call.args[1:2] if short == "dump" else call.args[:1]
    return short in ("save", "dump") and bool(target) and _last(target[0]) in memory


def _opens_for_writing(call: ast.Call, full: str | None) -> bool:
    """Say whether ``open(path, mode)``, ``path.open(mode)``, ``gzip.open(path, mode)`` … may write.

    A mode that is not written out counts as writing, where it is known to be one.
    """
    if full == "os.open":
        return bool({_last(node) for node in ast.walk(call) if isinstance(node, ast.expr)} & CREATING_FLAGS)
    is_method = isinstance(call.func, ast.Attribute) and full is None
    named = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    for mode in named or call.args[not is_method :][:1]:
        if not isinstance(mode, ast.Constant):
            return bool(named) or full in OPENERS or (isinstance(call.func, ast.Name) and full is None)
        found = MODE.fullmatch(str(mode.value))
        return found is not None and not set(found[1]).isdisjoint("wax+")
    return False


def test_only_the_store_and_step_bodies_write() -> None:
    assert writers(ROOT) == []


def test_step_bodies_are_those_that_steps_name() -> None:
    bodies = step_bodies(list(modules(ROOT)))
    assert {"vgbench_tasks.digits.read", "vgbench_plugins.toybox.generate", "vgbench.steps.pretrain"} <= bodies
    assert not {name for name in bodies if name.startswith("vgbench.") and not name.startswith("vgbench.steps.")}


def test_every_exception_is_needed() -> None:
    used = {(module.path, place, call) for module in modules(ROOT) for place, _, call in writes_of(module)}
    assert set(CALLS) - used == set()
    assert set(MODULES) - {path for path, _, _ in used} == set()


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("open('x', 'w')", "open"),
        ("open('x', mode='ab')", "open"),
        ("open('x', how)", "open"),
        ("path.open('x')", "open"),
        ("path.open('r+b')", "open"),
        ("path.open(mode='wt')", "open"),
        ("import gzip; gzip.open('x', 'wb')", "gzip.open"),
        ("import gzip; gzip.open('x', how)", "gzip.open"),
        ("import io; io.open('x', 'w')", "io.open"),
        ("import tarfile; tarfile.open('x', 'w:gz')", "tarfile.open"),
        ("from zipfile import ZipFile; ZipFile('x', 'a')", "zipfile.ZipFile"),
        ("import os; os.open('x', os.O_CREAT | os.O_EXCL)", "os.open"),
        ("path.write_text('x')", "write_text"),
        ("(folder / 'x').write_bytes(b'')", "write_bytes"),
        ("import numpy as np; np.save('x', y)", "numpy.save"),
        ("from numpy import savez; savez('x', y)", "numpy.savez"),
        ("import torch; torch.save(x, 'w.pth')", "torch.save"),
        ("from safetensors.torch import save_file; save_file({}, 'x')", "safetensors.torch.save_file"),
        ("import pyarrow.parquet as pq; pq.write_table(t, 'x')", "pyarrow.parquet.write_table"),
        ("from vgbench.images import write_shard; write_shard(folder, rows)", "vgbench.images.write_shard"),
        ("import json; json.dump({}, file)", "json.dump"),
        ("import shutil; shutil.copytree('a', 'b')", "shutil.copytree"),
        ("import shutil as sh; sh.rmtree('a')", "shutil.rmtree"),
        ("from shutil import move; move('a', 'b')", "shutil.move"),
        ("import os; os.replace('a', 'b')", "os.replace"),
        ("from os import remove as drop; drop('a')", "os.remove"),
        ("path.rename(target)", "rename"),
        ("path.replace(target)", "replace"),
        ("Path(name).unlink(missing_ok=True)", "unlink"),
        ("path.parent.mkdir(parents=True)", "mkdir"),
        ("path.rmdir()", "rmdir"),
        ("path.touch()", "touch"),
        ("import tempfile; tempfile.mkdtemp()", "tempfile.mkdtemp"),
        ("from tempfile import TemporaryDirectory; TemporaryDirectory()", "tempfile.TemporaryDirectory"),
        ("image.save('sheet.png')", "save"),
    ],
)
def test_planted_write_is_seen(line: str, call: str) -> None:
    module = Module.parse("vgbench/planted.py", f"def plant():\n    {line}\n")
    assert [(place, found) for place, _, found in writes_of(module)] == [("plant", call)]


@pytest.mark.parametrize(
    "line",
    [
        "open('x')",
        "open('x', 'rb')",
        "path.open()",
        "path.open('rb')",
        "Pack.open(step.inputs['images'])",
        "from vgbench.images import Pack; Pack.open(artifact, device)",
        "import gzip; gzip.open(place, 'rt')",
        "import os; os.open('x', os.O_RDONLY)",
        "'a-b'.replace('-', '_')",
        "import dataclasses; dataclasses.replace(node, owner=owner)",
        "from dataclasses import replace; replace(node, owner=owner)",
        "numbers.remove(3)",
        "import json; json.dumps({})",
        "import json, sys; json.dump({}, sys.stdout)",
        "import io; buffer = io.BytesIO(); image.save(buffer, 'PNG')",
        "write('text')",
        "store.put(staging, 'x', 'text')",
        "from vgbench.store import write_file; write_file(path, text)",
    ],
)
def test_reading_and_replacing_text_are_not_writes(line: str) -> None:
    assert not list(writes_of(Module.parse("vgbench/planted.py", f"def plant():\n    {line}\n")))


def test_planted_writers_are_found_in_a_copy_but_in_step_bodies(tmp_path: Path) -> None:
    copy = copy_product(tmp_path)
    before = writers(copy)
    planted = set()
    for name in (*PLACES, *BODIES):
        source = (copy / name).read_text()
        (copy / name).write_text(source + "\n\ndef plant(path: Path) -> None:\n    path.write_text('')\n")
        planted.add(f"{name.partition('/')[2]}:{source.count(chr(10)) + 4}: write_text")
    found = set(writers(copy)) - set(before)
    assert found < planted and len(found) == len(PLACES)
    assert not {path for path in found if path.startswith(tuple(name.partition("/")[2] for name in BODIES))}
