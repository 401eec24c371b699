"""Bring a repository of the Hugging Face Hub into the Hub's own cache, so that a later run can stay offline."""

from __future__ import annotations

from vgbench.inplace import local
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
    repository, revision = step.params["repository"], step.params["revision"]
    try:
        commit = HfApi().dataset_info(repository, revision=revision).sha
        files = scan(local(f"hf://{repository}@{commit}")).files
    except GatedRepoError as error:
        page = f"https://huggingface.co/datasets/{repository}"
        raise ValueError(f"{repository} needs a licence click at {page}, then: hf auth login") from error
    except RepositoryNotFoundError as error:
        raise ValueError(f"{repository} is not on the Hub, or needs a login: hf auth login") from error
    (step.out / COMMIT_FILE).write_text(str(commit))
    return Made(len(files))
