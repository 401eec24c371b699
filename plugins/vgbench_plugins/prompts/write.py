"""The strategies that run in a worker: what they answer for the fields of one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vgbench import Step
from vgbench.inplace import local

MORE = 50  # sentences sampled beyond those asked for, before equal ones are dropped (GenBench; protocols §1.3)
MAX_TOKENS = 77  # CLIP's context: what follows would be cut off


def definition(fields: Mapping[str, Any], n: int, step: Step) -> Sequence[str]:
    """Return "NAME, DEFINITION"."""
    return [f"{fields['name']}, {fields['definition']}"]


def hypernym(fields: Mapping[str, Any], n: int, step: Step) -> Sequence[str]:
    """Return "NAME, HYPERNYM" for each thing that WordNet says a synset is a kind of.

    A class id is "n" and the offset of its synset in WordNet 3.0's ``data.noun`` (wndb(5WN)).

    Raises:
        ValueError: the class id is no synset; the folder holds no such database; the synset is a kind of nothing.
    """
    path = Path(local(step.params["wordnet"].path)) / "data.noun"
    wnid = str(fields["id"])
    try:
        with path.open("rb") as file:
            names = [_words(_line(file, at))[0] for at in _hypernyms(_line(file, int(wnid[1:])))]
    except (OSError, ValueError, IndexError) as error:
        raise ValueError(f"{wnid}: not to be found as a synset of WordNet 3.0 in {path}: {error}") from error
    if not names:
        raise ValueError(f"{wnid} is a kind of nothing in WordNet")
    return [f"{fields['name']}, {name}" for name in names]


def sentences(fields: Mapping[str, Any], n: int, step: Step) -> Sequence[str]:
    """Return at most n different sentences that the T5 makes of the strategy's template with the class's name.

    n + 50 are sampled, equal ones dropped, and n of the rest taken at random (GenBench, generation_utils.py). How they
    are sampled no source states: the library's defaults, ``do_sample`` (assumed).
    """
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    folder = local(step.params["weights"].path)

    def opened() -> tuple[Any, Any]:
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        return AutoTokenizer.from_pretrained(folder, local_files_only=True), model.eval().to(step.device)

    tokenizer, model = step.resident(f"t5/{step.params['weights'].identity}/{step.device}", opened)
    text = step.params["prompts"].values["template"].replace("{}", str(fields["name"]))
    asked = tokenizer([text], return_tensors="pt").to(step.device)
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(step.image_seed(0))
        made = model.generate(**asked, do_sample=True, num_return_sequences=n + MORE, max_new_tokens=MAX_TOKENS)
        found = [one.strip() for one in tokenizer.batch_decode(made, skip_special_tokens=True)]
        different = list(dict.fromkeys(one for one in found if one))
        order = torch.randperm(len(different)).tolist()
    return [different[i] for i in order[:n]]


def _line(file: Any, offset: int) -> list[str]:
    """Return the fields of the synset that begins at a byte offset; its first field repeats the offset."""
    file.seek(offset)
    fields: list[str] = file.readline().decode("latin-1").split(" | ")[0].split()
    if not fields or fields[0] != f"{offset:08d}":
        raise ValueError(f"no synset begins at byte {offset}")
    return fields


def _words(fields: Sequence[str]) -> list[str]:
    n_words = int(fields[3], 16)
    return [word.replace("_", " ") for word in fields[4 : 4 + 2 * n_words : 2]]


def _hypernyms(fields: Sequence[str]) -> list[int]:
    """Return the offsets of what a noun synset is a kind of ("@"), or an instance of ("@i")."""
    at = 4 + 2 * int(fields[3], 16)
    pointers = fields[at + 1 :]
    quads = [pointers[4 * i : 4 * i + 4] for i in range(int(fields[at]))]
    return [
        int(offset) for symbol, offset, part_of_speech, _ in quads if symbol in ("@", "@i") and part_of_speech == "n"
    ]
