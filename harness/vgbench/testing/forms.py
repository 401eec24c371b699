"""The forms in which the built-ins are tried: small, offline, on the CPU. Third parties give theirs with ``--source``.

A built-in that cannot be tried at its defaults has a line here, or fails the suite. The files that sources over files
need are our own exports, so these are tried too.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from vgbench.conformance.suite import Form

# Ten optimiser steps on the small world: what is tried is the task, not the network.
TOYBOX = "world=coarse,size_px=32,recipe=toybox-small,samples_seen=640"
TENTH = "world=coarse,size_px=32,real_per_class=60,samples_seen=640,n_test=64"
TOYBOX_TASKS = {
    **dict.fromkeys(("val", "cue-conflict", "focus", "background-gap", "interventions"), "n_test=64"),
    **{f"ood/{name}": "n_test=64" for name in ("sketches", "renditions", "poses")},
    **{
        f"transfer/{name}": "shots=4,n_test=4"
        for name in ("tools", "creatures", "stars", "leaves", "fishes", "patterns", "coats")
    },
}
GENBENCH_SETS = ("tools", "creatures", "stars", "leaves", "fishes", "patterns", "coats", "digits")
N_EXPORTED = 14  # of each class: more than the 13 that the largest request asks for


def built_in(distribution: str, kind: Literal["source", "task"]) -> Mapping[str, Form]:
    """Return the forms of vgbench's own sources or tasks by name; nothing for another distribution."""
    if distribution != "vgbench":
        return {}
    if kind == "task":
        toybox = {f"toybox/{name}": f"toybox/{name}:{TOYBOX},{more}" for name, more in TOYBOX_TASKS.items()}
        genbench = {f"toybox/genbench/{name}": f"toybox/genbench/{name}:n_test=4" for name in GENBENCH_SETS}
        quality = {f"{name}/quality": f"{name}/quality:n_test=4,n=6,n_per_class=2" for name in genbench}
        similarity = {f"{name}/mts": _with_captions(name) for name in genbench}
        tenth = {"toybox/augment10": f"toybox/augment10:{TENTH}"}
        own: dict[str, Form] = {"own": lambda folder: f"own:dataset=folder:{export(folder, 'folder')}"}
        return {**own, **tenth, **toybox, **genbench, **quality, **similarity}
    return {
        "folder": lambda folder: f"folder:{export(folder, 'folder')}",
        "genrobust": lambda folder: f"genrobust:{export(folder, 'folder')}",
        "genrobust-base": lambda folder: f"genrobust-base:{export(folder, 'folder')}",
        "hf": lambda folder: f"hf:{export(folder, 'parquet')},label=class_id",
        "lbgen": lambda folder: f"lbgen:{export(folder, 'folder')}",
        "mix": "mix:0.5*(toybox:micro_batch=4)+0.5*(toybox:noise=2,micro_batch=4)",
        "parquet": lambda folder: f"parquet:{export(folder, 'parquet')},label=class_id",
        "retrieval": "retrieval:corpus=toybox,pages=400,micro_batch=4",
        "published": lambda folder: f"published:{_packed(export(folder, 'folder'), 'zip')}",
        "realfake": lambda folder: f"realfake:{_packed(export(folder, 'folder'), 'tar')}",
        "sd": "sd:model=toybox,steps=1,micro_batch=4",
        "wds": lambda folder: f"wds:{export(folder, 'wds')}",
        "weights": lambda folder: f"weights:test_resnet@{checkpoint(folder)}",
    }


def built_in_classes(distribution: str) -> str | None:
    """Return the class list that vgbench's own sources are tried with: the exports hold digits."""
    return "digits" if distribution == "vgbench" else None


def _with_captions(name: str) -> Form:
    """Return a form of the text-similarity task of a data set: its corpus is two captions."""

    def form(folder: Path) -> str:
        corpus = folder / "captions.txt"
        corpus.write_text("a photo of a herring\na pattern of leopard\n")
        return f"{name}/mts:{corpus}"

    return form


def export(folder: Path, form: Literal["folder", "parquet", "wds"], *, slant: float = 0.5) -> Path:
    """Export Toybox digits by ``vgbench generate`` and return the folder they lie in."""
    target = folder / form
    # not Toybox at its defaults: copies of test images are left out of whatever a task is given
    request = (f"--source=toybox:{slant=},micro_batch=8", "--classes=digits", f"--images-per-class={N_EXPORTED}")
    _python("-m", "vgbench.cli", f"--home={folder / 'home'}", "generate", *request, f"--format={form}", f"-o{target}")
    return target


def _packed(folder: Path, form: Literal["zip", "tar"]) -> Path:
    """Write an archive of a folder's class folders; in a child process, since only the store writes in ours."""
    _python("-c", "import shutil, sys; shutil.make_archive(*sys.argv[1:])", str(folder), form, str(folder))
    return folder.with_suffix(f".{form}")


def checkpoint(folder: Path) -> Path:
    """Save the untouched initialisation of timm's smallest architecture; in a child process, since torch is heavy."""
    path = folder / "test_resnet.safetensors"
    code = (
        "import sys, timm, safetensors.torch as st;"
        "st.save_file(timm.create_model('test_resnet', pretrained=False).state_dict(), sys.argv[1])"
    )
    _python("-c", code, str(path))
    return path


def _python(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or done.stdout.strip()).splitlines()[-1])
