"""A CLIP tokenizer for Toybox: bytes and merges, with one token for each word of its captions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

CONTEXT = 24  # tokens, start and end included: the longest caption has 22


def tokenizer(vocabulary: Sequence[str]) -> Any:
    """Return a ``transformers.CLIPTokenizer`` that writes every word of the vocabulary as one token.

    Byte-pair merges are run to their end over the words. The end of text has the highest id, so that open_clip's
    ``argmax`` pooling and transformers' end-of-text pooling agree.
    """
    from transformers import CLIPTokenizer

    octets = list(_byte_symbols().values())
    merges = _merges(vocabulary)
    symbols = [*octets, *(s + "</w>" for s in octets), *("".join(pair) for pair in merges)]
    vocab = {symbol: i for i, symbol in enumerate([*symbols, "<|startoftext|>", "<|endoftext|>"])}
    found: Any = CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=CONTEXT)  # type: ignore[arg-type]  # its stub says str
    if len(found) != len(vocab):  # transformers 5 accepts other names for these arguments, and ignores them
        raise RuntimeError(f"the tokenizer has {len(found)} tokens, not {len(vocab)}")
    long = [word for word in vocabulary if len(found(word)["input_ids"]) != 3]
    if long:
        raise RuntimeError(f"words of more than one token: {long[:5]}")
    return found


def save(found: Any, folder: Path) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json``, which open_clip and transformers both read."""
    found.save_pretrained(folder)


def _merges(vocabulary: Sequence[str]) -> list[tuple[str, str]]:
    """Return the merges that make one symbol of every word, the most frequent pair first, ties by their text."""
    splits = {word: [*word[:-1], word[-1] + "</w>"] for word in vocabulary}
    merges: list[tuple[str, str]] = []
    while True:
        counts: dict[tuple[str, str], int] = {}
        for parts in splits.values():
            for pair in pairwise(parts):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            return merges
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        splits = {word: _merged(parts, best) for word, parts in splits.items()}


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    found: list[str] = []
    i = 0
    while i < len(parts):
        if tuple(parts[i : i + 2]) == pair:
            found.append("".join(pair))
            i += 2
        else:
            found.append(parts[i])
            i += 1
    return found


def _byte_symbols() -> dict[int, str]:
    """Return GPT-2's printable symbol of each byte: itself where it prints, else the next free code point from 256."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}
