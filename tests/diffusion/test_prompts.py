"""Prompt strategies that run in a worker: WordNet's hypernyms, definitions, and sentences of a T5."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from tests.conftest import Answer
from tests.diffusion import made
from tests.diffusion.test_images import hashes, source
from tests.encoders.made import spiece
from transformers import T5Config, T5ForConditionalGeneration

from vgbench import prompting
from vgbench.locate import Locator
from vgbench.planning import Builder
from vgbench.registry import Registry
from vgbench.types import Part, Place, Step
from vgbench_plugins.prompts import write
from vgbench_tasks.genbench.sets import GENBENCH

# Lines of WordNet's data.noun in its own form (wndb(5WN)): offset, file number, type, number of words (hexadecimal),
# words and lexical ids, number of pointers, pointers (symbol, offset, part of speech, source/target), gloss.
LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by  \n"


def wordnet(folder: Path) -> dict[str, int]:
    """Write a miniature ``data.noun``; return each synset's offset, as WordNet counts it: in bytes, from the start."""
    synsets = {
        "entity": (["entity"], [], "that which is perceived"),
        "dog": (["dog", "domestic_dog", "Canis_familiaris"], [("@", "domestic animal"), ("@", "canine")], "a dog"),
        "domestic animal": (["domestic_animal", "domesticated_animal"], [("@", "entity")], "an animal"),
        "canine": (["canine", "canid"], [("@", "entity"), ("~", "dog")], "any of various | fissiped mammals"),
        "Rin Tin Tin": (["Rin_Tin_Tin"], [("@i", "dog"), ("#m", "canine")], "a dog of the cinema"),
    }

    def lines(at: Mapping[str, int]) -> list[tuple[str, bytes]]:
        found = []
        for name, (words, pointers, gloss) in synsets.items():
            told = [f"{at[name]:08d} 05 n {len(words):02x}", *(f"{word} 0" for word in words), f"{len(pointers):03d}"]
            told += [f"{symbol} {at[target]:08d} n 0000" for symbol, target in pointers]
            found.append((name, f"{' '.join(told)} | {gloss}  \n".encode("latin-1")))
        return found

    at = dict.fromkeys(synsets, 0)
    position = len(LICENCE)
    for name, line in lines(at):
        at[name], position = position, position + len(line)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.noun").write_bytes(LICENCE.encode() + b"".join(line for _, line in lines(at)))
    return at


def step(tmp_path: Path, strategy: str = "", **params: Any) -> Step:
    def resident(key: str, make: Callable[[], Any]) -> Any:
        return make()

    values = {"template": "{}"} if strategy == "category-enhanced" else {"template": "A photo of a {}."}
    return Step(
        node="cd" * 32,
        params={"prompts": Part("prompts", strategy, "1", values=values), **params},
        inputs={},
        seed=0,
        shard=0,
        out=tmp_path,
        scratch=tmp_path,
        device="cpu",
        progress=lambda done, total: None,
        resident=resident,
        load=lambda part: write.sentences,
    )


def test_hypernyms_are_what_wordnet_says(tmp_path: Path) -> None:
    at = wordnet(tmp_path / "wn")
    given = step(tmp_path, wordnet=Place("wn", str(tmp_path / "wn")))

    def asked(name: str) -> list[str]:
        return list(write.hypernym({"name": name, "id": f"n{at[name]:08d}"}, 16, given))

    assert asked("dog") == ["dog, domestic animal", "dog, canine"]
    assert asked("canine") == ["canine, entity"]  # not what points down
    assert asked("Rin Tin Tin") == ["Rin Tin Tin, dog"]  # an instance; what it is a member of is no hypernym
    with pytest.raises(ValueError, match="is a kind of nothing in WordNet"):
        asked("entity")
    with pytest.raises(ValueError, match=r"n00000007: not to be found as a synset of WordNet 3\.0"):
        write.hypernym({"name": "x", "id": "n00000007"}, 16, given)


def test_the_source_asks_wordnet_and_class_definitions(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    at = wordnet(tmp_path / "wn")
    entry = {"id": f"n{at['dog']:08d}", "name": "dog", "definition": "a member of the genus Canis"}
    classes = tmp_path / "dogs.json"
    classes.write_text(json.dumps({"name": "dogs", "version": "1", "classes": [entry]}))
    pipeline = made.sd(tmp_path / "sd")
    for prompts, wanted in (
        ("hypernym", ["dog, domestic animal", "dog, canine", "dog, domestic animal", "dog, canine"]),
        ("definition", ["dog, a member of the genus Canis"] * 4),
        ("clip-templates", ["a bad photo of a dog.", "a photo of many dog.", "a sculpture of a dog."]),
        ("restrictive", ["dog,highly detailed,hires,8k,sharp focus"] * 4),
    ):
        asked = source(pipeline, prompts=prompts, wordnet=tmp_path / "wn")
        home = tmp_path / prompts
        answer = vgbench("--home", str(home), "preview", "--source", asked, "--classes", str(classes), "-n", "4")
        assert answer.code == 0, answer.err
        (path,) = home.glob("store/*/*/*/images.parquet")
        assert pq.read_table(path)["prompt"].to_pylist()[: len(wanted)] == wanted


LOUD = """
from vgbench import Part, hookimpl
@hookimpl
def vgbench_offer_parts():
    yield Part("prompts", "loud", "1", "my_plugin:loud", {"uses": ["name"]}, summary="the class name, shouted")
    yield Part("prompts", "mute", "1", "my_plugin:mute", {"uses": ["name"]}, summary="nothing")
def loud(fields, n, step):
    return [fields["name"].upper() + "!"]
def mute(fields, n, step):
    return []
"""


def plugin(folder: Path, code: str) -> None:
    """Write a distribution that is found through PYTHONPATH."""
    (folder / "my_plugin.py").write_text(code)
    info = folder / "my_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vgbench]\nmine = my_plugin\n")


def test_genbenchs_negative_prompt_names_the_other_classes_and_then_faults() -> None:
    """Luodian/GenBench, generation_utils.py: all other names (its sample of ten is overwritten), 28 faults, a comma."""
    registry = Registry()
    graph, classes = Builder(registry, Locator(), {}, supposing=True), registry.class_list("toybox16")
    fish = next(entry for entry in classes.classes if entry.name == "fish")
    found = prompting.negative_of(graph, fish, classes, strategy="genbench", text="")
    names = [entry.name for entry in classes.classes if entry is not fish]
    assert found.split(", ")[: len(names)] == names
    assert found.split(", ")[len(names) :][:2] == ["((disfigured))", "((bad art))"]
    assert found.endswith(", out of focus, censorship,")
    assert len(found.split(", ")) == len(names) + 28
    assert prompting.negative_of(graph, fish, classes, strategy="", text="grey") == "grey"


def test_a_negative_strategy_reaches_the_images(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    pipeline = made.sd(tmp_path / "sd")

    def drawn(**options: str) -> Any:
        home = tmp_path / "-".join(options.values())
        asked = ("--source", source(pipeline, guidance=5, **options), "--classes", "toybox16/star,fish", "-n", "4")
        answer = vgbench("--home", str(home), "preview", *asked)
        assert answer.code == 0, answer.err
        return hashes(home)

    by_strategy = drawn(negatives="genbench")
    assert by_strategy != drawn(negative="grey")
    assert len(by_strategy) == 8


def test_two_negative_prompts_and_an_unknown_one_are_refused(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    def refused(**options: str) -> str:
        asked = ("--source", source(tmp_path, **options), "--classes", "toybox16/star", "-n", "1")
        answer = vgbench("preview", *asked)
        assert answer.code == 2
        return answer.err

    assert "negatives=genbench and negative='grey' are both given" in refused(negatives="genbench", negative="grey")
    assert "guidance=1 heeds no negative prompt" in refused(negative="grey", guidance="1")
    assert "did you mean 'genbench'" in refused(negatives="genbanch").replace('"', "'")


def test_third_parties_add_strategies(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    plugin(tmp_path, LOUD)
    pipeline = made.sd(tmp_path / "sd")

    def preview(strategy: str) -> Answer:
        asked = ("--source", source(pipeline, prompts=strategy), "--classes", "toybox16/star", "-n", "1", "--json")
        return vgbench("preview", *asked, env={"PYTHONPATH": str(tmp_path)})

    assert preview("loud").json["prompts"] == [["star", "STAR!"]]
    assert "prompts=mute answered []: a list of one text or more is needed" in preview("mute").err


def test_strategy_whose_library_is_missing_is_refused_before_anything_is_made(
    vgbench: Callable[..., Answer], tmp_path: Path, home: Path
) -> None:
    plugin(tmp_path, LOUD.replace('shouted")', 'shouted", needs=("no_such_library.reader",))'))
    asked = ("--source", source(made.sd(tmp_path / "sd"), prompts="loud"), "--classes", "toybox16/star", "-n", "1")
    answer = vgbench("preview", *asked, env={"PYTHONPATH": str(tmp_path)})
    assert answer.code == 3, answer.err
    assert "step vgbench.prompt needs no_such_library.reader, not installed here" in answer.err
    assert "pip install no_such_library.reader" in answer.err
    assert not list((home / "store").rglob("*.json")) and not (tmp_path / "sheet.png").exists()


def test_sentences_are_sampled_alike_each_time_and_none_stands_twice(tmp_path: Path) -> None:
    folder = tmp_path / "t5"
    tok = made.clip_tokenizer()
    tok.save_pretrained(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tok), d_model=16, d_ff=16, d_kv=4, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    given = step(tmp_path, "category-enhanced", weights=Place("t5", str(folder)))
    before = torch.random.get_rng_state()
    found = list(write.sentences({"name": "eel"}, 5, given))
    assert torch.equal(before, torch.random.get_rng_state())
    assert len(found) == len(set(found)) == 5
    assert list(write.sentences({"name": "eel"}, 5, given)) == found
    assert list(write.sentences({"name": "star"}, 5, given)) != found
    expanded = step(tmp_path, "sentence-expansion", weights=Place("t5", str(folder)))
    assert list(write.sentences({"name": "eel"}, 5, expanded)) != found


def test_sentences_are_written_by_a_t5_whose_only_tokenizer_file_is_spiece_model(tmp_path: Path) -> None:
    """As in the repository that GenBench names."""
    folder = tmp_path / "t5"
    pieces = spiece(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=pieces.get_piece_size(),
        d_model=16,
        d_ff=16,
        d_kv=4,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    assert not list(folder.glob("tokenizer*"))
    for strategy in ("category-enhanced", "sentence-expansion"):
        given = step(tmp_path / strategy, strategy, weights=Place("t5", str(folder)))
        found = list(write.sentences({"name": "eel"}, 4, given))
        assert len(found) == len(set(found)) == 4
        known = {pieces.id_to_piece(i).replace("▁", "") for i in range(pieces.get_piece_size())}
        assert all(set(text) <= set("".join(known)) | {" "} for text in found)


def test_a_text_is_no_list_of_texts(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    """Its letters would be taken for prompts."""
    plugin(tmp_path, LOUD.replace('return [fields["name"].upper() + "!"]', 'return fields["name"]'))
    asked = ("--source", source(made.sd(tmp_path / "sd"), prompts="loud"), "--classes", "toybox16/star", "-n", "1")
    answer = vgbench("preview", *asked, env={"PYTHONPATH": str(tmp_path)})
    assert "prompts=loud answered 'star': a list of one text or more is needed" in answer.err


def test_dataset_templates_are_the_class_lists_own(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    """Every class list of GenBench has some; CIFAR-10's first are drawn from."""
    registry = Registry()
    for name in GENBENCH:
        (task,) = registry.task(f"genbench/{name}")
        classes = task.spec.request(Builder(registry, Locator(), {}, supposing=True), task.options).classes
        assert registry.part("prompts", f"genbench/{classes.name}").values["templates"]
    asked = ("--source", source(made.sd(tmp_path / "sd"), prompts="dataset-templates"), "--classes", "cifar-10/cat")
    answer = vgbench("preview", *asked, "-n", "1", "--json")
    first = registry.part("prompts", "genbench/cifar-10").values["templates"][0]
    assert [prompt for _, prompt in answer.json["prompts"]] == [first.replace("{}", "cat")], answer.err
