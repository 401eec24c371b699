"""Bring a repository of the Hugging Face Hub into the Hub's own cache, so that a later run can stay offline."""

from __future__ import annotations

from vgbench.inplace import local, repository
from vgbench.listing import scan
from vgbench.types import Made, Step

COMMIT_FILE = "commit"


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
