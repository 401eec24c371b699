"""Bring a repository of the Hugging Face Hub into the Hub's own cache, so that a later run can stay offline; and
observe what nobody has pinned: the sample ids of a data set's splits."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import replace

from vgbench.errors import NoSuchSplit
from vgbench.images import LABELS_FILE, read_table
from vgbench.inplace import local, repository
from vgbench.listing import scan
from vgbench.types import Made, Step, sha256_hex

COMMIT_FILE = "commit"
OBSERVED_FILE = "observed.json"


def fetch(step: Step) -> Made:
    """Download ``repository`` at ``revision``; write the commit that was, 40 hexadecimal digits.

    Raises ``ValueError`` saying what to do when the repository asks for a login or a licence click.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
    except ImportError as error:
        raise ValueError("the Hub's client is not installed: pip install 'vgbench[hf]'") from error
    name, revision = step.params["repository"], step.params["revision"]
    kind, repo_id = repository(name)
    try:
        commit = HfApi().repo_info(repo_id, repo_type=kind, revision=revision).sha
        files = scan(local(f"hf://{name}@{commit}")).files
    except GatedRepoError as error:
        page = f"https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{repo_id}"
        raise ValueError(f"{repo_id} needs a licence click at {page}, then: hf auth login") from error
    except RepositoryNotFoundError as error:
        raise ValueError(f"{repo_id} is not on the Hub, or needs a login: hf auth login") from error
    (step.out / COMMIT_FILE).write_text(str(commit))
    return Made(len(files))


def observe(step: Step) -> Made:
    """Read the labels of each split with ``entry``, a reader of labels, and write the hashes of their sample ids.

    ``observed.json``: split → {"n", "sample_ids"}, or {"reason"} for a split that the copy lacks, or has in another
    size. Whatever else the reader refuses is raised: a copy that is wrong in one split is not used for another.
    """
    module, _, name = step.params["entry"].partition(":")
    body: Callable[[Step], Made] = getattr(importlib.import_module(module), name)
    observed: dict[str, dict[str, object]] = {}
    for split, params in step.params["splits"].items():
        out = step.out / split
        out.mkdir()
        try:
            made = body(replace(step, params={**params, "place": step.params["place"]}, out=out))
        except NoSuchSplit as error:
            observed[split] = {"reason": str(error)}
            continue
        ids = read_table(out / LABELS_FILE, ["sample_id"])["sample_id"].to_pylist()
        observed[split] = {"n": made.items, "sample_ids": sha256_hex("\n".join(sorted(ids)))}
    (step.out / OBSERVED_FILE).write_text(json.dumps(observed, indent=1, sort_keys=True) + "\n")
    return Made(len(observed))
