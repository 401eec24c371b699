"""The class lists and prompt templates of the real data sets are the published ones, in the published order."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import runpy
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vgbench.errors import UnknownName
from vgbench.registry import Registry
from vgbench.types import ClassList
from vgbench_tasks.datasets import class_lists

FOLDER = Path(class_lists.__file__).parent

# GenBench's 22 data sets: classes, and text templates (columns "classes" and "T" of protocols.md §1.1)
GENBENCH = {
    "imagenet-1k": (1000, 80),
    "sun397": (397, 2),
    "caltech-101": (102, 34),
    "cifar-10": (10, 18),
    "cifar-100": (100, 18),
    "voc-2007-classification": (20, 27),
    "food-101": (101, 1),
    "oxford-iiit-pets": (37, 1),
    "oxford-flower-102": (102, 1),
    "stanford-cars": (196, 8),
    "fgvc-aircraft-2013b-variants102": (100, 2),
    "country211": (211, 5),
    "dtd": (47, 8),
    "eurosat_clip": (10, 3),
    "resisc45_clip": (45, 18),
    "gtsrb": (43, 3),
    "fer-2013": (7, 6),
    "kitti-distance": (4, 1),
    "patch-camelyon": (2, 1),
    "rendered-sst2": (2, 1),
    "hateful-memes": (2, 1),
    "mnist": (10, 5),
}
BESIDES = {"caltech-256": 256, "imagenet-100": 100, "imagenet-a": 200, "imagenet-r": 200, "objectnet": 113}

# SHA-256 of the JSON value (keys sorted) of a list's classes, of upstream.json and of prompts.json, when they were read
GOLDEN = {
    "caltech-101": "835083c222f0746c575e54ce58342d8fd12d4030e714fe1947e3a2da34e3e235",
    "caltech-256": "a6476c3d1e78914393dff94afd4f678875e1f06abe57ae7193136ae1b92ec3f0",
    "cifar-10": "d7cb93bf3a092e0ba18f88661cb353659f7c2877ed3b989345c5279dc998b306",
    "cifar-100": "9484daae157e77964d71c65b24fdbbaaefe2013bd01d26abe5253817dd9da25d",
    "country211": "706235e9306ffca486805a5d0568b583b76f9a97205c9ce801b562f7f1e36b27",
    "dtd": "cc8893fff1a166d22545a12ee2b74fd8a12b14307fe78c4e9c1348b5d10e5199",
    "eurosat_clip": "a3b3bba6cdaff0dd8eb94b372234d7d63915f0139df04f3e25d3633df5e2805f",
    "fer-2013": "b2b7d7c36cc98d42aee72a92e51e9286f14fef571d0cfecd7fd3e3954d555a52",
    "fgvc-aircraft-2013b-variants102": "dd84f5a7d438f56ecdca460c3d79a479068ad7cc764f1718fc5bb2a52ece74d3",
    "food-101": "d65aed8954cbbed6fef874bac17d8e60931f90e9c12759e40dd6c8e2156b892e",
    "gtsrb": "b45e4a16af854ae9a6fbf74c787d34b77b12879d0baaf8291a0a7ba495e0e39f",
    "hateful-memes": "8b276335aedc849aa4b8a8d96314b90fd3b49a67e398a17cc9524e535dc24aa1",
    "imagenet-100": "e307c41ac74f056240ba36ced3db7948cb67886530b8230c9e7ca9544330c834",
    "imagenet-1k": "6c0e5991e2d12a520fa916e7914cd445123b6871c62478876c2ef62deae8a9a6",
    "imagenet-a": "99fb15486cc4e03e189f85a09d84168f9cae1186e9603fc08baa9339a90a2dd7",
    "imagenet-r": "d288dec3f737df980c5b504f957cb2b9d901fd132be5f56b45c9727876c7ea6d",
    "kitti-distance": "a3a70dcb37fc3c50f79a760233b1685ef8dde401d9f3fa51161e1b8ce70ec50b",
    "mnist": "43bee48889b44d426a89a211db60d5077ac8c1eb6a823b37b4cd1a6909fde6b7",
    "objectnet": "147b212f65d673e006226e263351fa1a2f58a1b883990a04c2450db04cd7967b",
    "oxford-flower-102": "d56d8dfd7e2a59dfd42d40ba38ffe1f48c728547e0e43c23b68f190156279134",
    "oxford-iiit-pets": "640a8df0dbf4c1f30e2c74599b03e622c5aa1ba5693d5325bcc5c44338df1427",
    "patch-camelyon": "f0dc980598b42b1c0d26814a6ed7142605872488a31dacc66ccb0ed84324d682",
    "rendered-sst2": "b5624b385775b35a3c9d9746b943630560c4bd3d2f8b0d031c29361e9d6c3f8c",
    "resisc45_clip": "9c482841a3516b6c7ba7914eb3652f8f3173abdab8aababaf5761a928f33ad1f",
    "stanford-cars": "80bcf93adda38229781b9ae60ce7616d10f546c04cb1250e4f741ab47a662265",
    "sun397": "f65cf5df0d0f4fa3983fb9698b356e346bc7392ec79e639be5a7a5ffc251ed57",
    "voc-2007-classification": "4e59cbb295a34630fa0c276ef8b834179f38e4e5498ec55f0c937a58ab898d56",
    "upstream": "22dd253c4b3e4a2b581cb54e13f09677ec6259fea0a02de56f89dbfa5d4a9e0a",
    "prompts": "04489f16a11ae83ad89040733b10063a280d18777213d76c29242fd7149ec58e",
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@pytest.fixture(scope="module")
def read(registry: Registry) -> Callable[[str], ClassList]:
    return registry.class_list


def names(classes: ClassList) -> list[str]:
    return [entry.name for entry in classes.classes]


def json_of(name: str) -> Any:
    if name == "prompts":
        return json.loads((FOLDER / "prompts.json").read_text())
    value = json.loads((FOLDER / "classes" / f"{name}.json").read_text())
    return value.get("classes", value)


def templates(registry: Registry, name: str) -> list[str]:
    return list(registry.part("prompts", name).values["templates"])


def installed(package: str, file: str) -> Path:
    """Return a file of an installed package without importing it; the test is skipped where it is not there."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed")
    return Path(spec.origin).parent / file


def test_the_22_lists_of_genbench_hold_2548_classes(read: Callable[[str], ClassList]) -> None:
    assert len(GENBENCH) == 22
    assert {name: len(read(name)) for name in GENBENCH} == {name: n for name, (n, _) in GENBENCH.items()}
    assert sum(len(read(name)) for name in GENBENCH) == 2548
    assert sum(len(read(name)) for name in GENBENCH if name not in {"imagenet-1k", "sun397"}) == 1151  # ELEVATER's 20


def test_every_list_of_the_folder_is_offered_under_its_own_name(read: Callable[[str], ClassList]) -> None:
    in_folder = {path.stem for path in (FOLDER / "classes").glob("*.json")} - {"upstream"}
    assert in_folder == set(class_lists.SUMMARIES) == set(GENBENCH) | set(BESIDES)
    assert all(read(name).name == name for name in in_folder)
    assert {name: len(read(name)) for name in BESIDES} == BESIDES


@pytest.mark.parametrize("name", class_lists.SUMMARIES)
def test_ids_are_unique_and_can_name_folders(name: str, read: Callable[[str], ClassList]) -> None:
    ids = read(name).ids
    assert len({class_id.lower() for class_id in ids}) == len(ids)  # also where a file system ignores case
    assert [class_id for class_id in ids if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", class_id)] == []


@pytest.mark.parametrize("name", class_lists.SUMMARIES)
def test_names_are_unique_but_for_two_of_clips(name: str, read: Callable[[str], ClassList]) -> None:
    twice = {found for found, n in Counter(names(read(name))).items() if n > 1}
    assert twice == ({"missile", "sunglasses"} if name == "imagenet-1k" else set())
    assert all(found == found.strip() and "  " not in found for found in names(read(name)))


@pytest.mark.parametrize("name", GOLDEN)
def test_nothing_changed_since_it_was_read(name: str) -> None:
    text = json.dumps(json_of(name), ensure_ascii=False, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN[name]


def test_offering_the_lists_opens_none_of_them() -> None:
    code = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "from vgbench_tasks.datasets import class_lists\n"
        "assert len(list(class_lists.vgbench_offer_class_lists())) > 20 and any('class_lists' in f for f in opened)\n"
        "print(sum('imagenet-1k' in file or 'upstream' in file for file in opened))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "0"


# ── the traps: where a copy of the data counts its classes in another order ─────────────────────────


def test_fer_2013_is_alphabetical_and_kaggles_neutral_is_last(read: Callable[[str], ClassList]) -> None:
    assert names(read("fer-2013")) == ["angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised"]
    kaggle = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    assert list(class_lists.upstream("fer-2013", "kaggle")) == kaggle
    assert read("fer-2013").classes[3].synonyms == ("smiling",)


def test_caltech_101_has_its_background_class_fifth_and_first_among_folders(read: Callable[[str], ClassList]) -> None:
    assert names(read("caltech-101"))[:5] == ["accordion", "airplane", "anchor", "ant", "background"]
    assert class_lists.upstream("caltech-101", "folders")[:2] == ("BACKGROUND_Google", "Faces")
    lower = list(class_lists.upstream("caltech-101", "tfds"))
    assert lower == sorted(lower, key=str.lower)
    moved = [pair for pair in zip(lower, read("caltech-101").ids, strict=True) if pair[0] != pair[1]]
    assert moved == [("Faces", "Faces_easy"), ("Faces_easy", "Faces")]  # ELEVATER lists the centred one first


def test_kitti_distance_goes_from_beside_to_none(read: Callable[[str], ClassList]) -> None:
    assert read("kitti-distance").ids == ("beside", "nearby", "distant", "none")
    assert [re.sub(r".*(left|nearby|distance|no car).*", r"\1", name) for name in names(read("kitti-distance"))] == [
        "left",
        "nearby",
        "distance",
        "no car",
    ]


def test_the_positive_class_of_two_comes_second(read: Callable[[str], ClassList]) -> None:
    assert read("hateful-memes").ids == ("non-hateful", "hateful")
    assert names(read("hateful-memes")) == ["meme", "hatespeech meme"]
    assert read("patch-camelyon").ids == ("normal", "tumor")
    assert read("rendered-sst2").ids == ("negative", "positive")


def test_cifar_100_is_shuffled_by_elevater_and_alphabetical_by_itself(read: Callable[[str], ClassList]) -> None:
    assert read("cifar-100").ids[:3] == ("chimpanzee", "trout", "skunk")
    own = class_lists.upstream("cifar-100", "cifar")
    assert own == tuple(sorted(own)) and own[:2] == ("apple", "aquarium_fish")


def test_cars_aircraft_and_food_have_two_orders_each(read: Callable[[str], ClassList]) -> None:
    devkit = class_lists.upstream("stanford-cars", "devkit")  # cars_meta.mat: by maker, models in no order
    assert devkit[0] == "AM_General_Hummer_SUV_2000"
    assert devkit[4:6] == ("Acura_TSX_Sedan_2012", "Acura_Integra_Type_R_2001")
    assert devkit[192:] == (
        "Volvo_C30_Hatchback_2012",
        "Volvo_240_Sedan_1993",
        "Volvo_XC90_SUV_2007",
        "smart_fortwo_Convertible_2012",
    )
    assert read("stanford-cars").ids.index("AM_General_Hummer_SUV_2000") == 6
    variants = class_lists.upstream("fgvc-aircraft-2013b-variants102", "variants-txt")
    assert variants[34:37] == ("ATR-42", "ATR-72", "An-12")
    assert read("fgvc-aircraft-2013b-variants102").ids[34:37] == ("An-12", "ATR-42", "ATR-72")
    assert read("food-101").ids[16:18] == ("cheesecake", "cheese_plate")  # as in the data's classes.txt
    assert class_lists.upstream("food-101", "torchvision")[16:18] == ("cheese_plate", "cheesecake")  # which sorts


def test_elevater_and_the_data_take_the_two_jails_of_sun397_in_turn(read: Callable[[str], ClassList]) -> None:
    own = class_lists.upstream("sun397", "class-name-txt")
    assert [(i, a) for i, (a, b) in enumerate(zip(own, read("sun397").ids, strict=True)) if a != b] == [
        (i, own[i]) for i in (own.index("jail_indoor"), own.index("jail_cell"))
    ]
    assert read("sun397").ids.index("jail_indoor") == 1 + read("sun397").ids.index("jail_cell")


def test_folders_of_country211_and_gtsrb_sort_into_the_lists_order(read: Callable[[str], ClassList]) -> None:
    assert read("country211").ids == tuple(sorted(read("country211").ids))
    assert dict(zip(read("country211").ids, names(read("country211")), strict=True))["XK"] == "Kosovo"
    assert read("gtsrb").ids == tuple(f"{i:05d}" for i in range(43)) and names(read("gtsrb"))[14] == "stop"


def test_every_upstream_order_is_another_order_of_the_same_classes(read: Callable[[str], ClassList]) -> None:
    for dataset, layouts in json_of("upstream").items():
        for layout, ids in layouts.items():
            own = read(dataset).ids
            assert sorted(ids) == sorted(own) and tuple(ids) != own, (dataset, layout)


def test_an_order_that_nobody_kept_is_named() -> None:
    with pytest.raises(UnknownName, match="no class order of fer-2013 is called 'kagle'") as caught:
        class_lists.upstream("fer-2013", "kagle")
    assert caught.value.hint == "did you mean 'kaggle'?"


# ── ImageNet and its kin ─────────────────────────────────────────────────────────────────────────────


def test_the_kin_of_imagenet_are_parts_of_it_in_its_order(read: Callable[[str], ClassList]) -> None:
    whole = {entry.id: entry for entry in read("imagenet-1k").classes}
    assert list(whole) == sorted(whole) and all(entry.definition for entry in whole.values())
    for name in ("imagenet-100", "imagenet-a", "imagenet-r"):
        classes = read(name)
        assert list(classes.ids) == sorted(classes.ids)
        assert classes.classes == tuple(whole[wnid] for wnid in classes.ids)


def test_objectnets_classes_take_disjoint_synsets_of_imagenet(read: Callable[[str], ClassList]) -> None:
    wnids = [wnid for entry in json_of("objectnet") for wnid in entry["wnids"]]
    assert len(wnids) == len(set(wnids)) and set(wnids) <= set(read("imagenet-1k").ids)
    assert read("objectnet").ids == tuple(sorted(read("objectnet").ids))
    assert dict(zip(read("objectnet").ids, names(read("objectnet")), strict=True))["full_sized_towel"] == "Bath towel"


@pytest.mark.parametrize("name", ["imagenet-1k", "imagenet-a", "imagenet-r"])
def test_wnids_are_those_that_timm_ships(name: str, read: Callable[[str], ClassList]) -> None:
    file = {"imagenet-1k": "imagenet_synsets.txt"}.get(name, f"{name.replace('-', '_')}_synsets.txt")
    assert list(read(name).ids) == installed("timm", f"data/_info/{file}").read_text().split()


def test_names_and_templates_of_imagenet_are_those_of_open_clip(
    registry: Registry, read: Callable[[str], ClassList]
) -> None:
    theirs = runpy.run_path(str(installed("open_clip", "zero_shot_metadata.py")))
    assert names(read("imagenet-1k")) == list(theirs["IMAGENET_CLASSNAMES"])
    assert templates(registry, "clip-templates") == [fill("{}") for fill in theirs["OPENAI_IMAGENET_TEMPLATES"]]


# ── prompt templates ─────────────────────────────────────────────────────────────────────────────────


def test_genbench_has_as_many_templates_as_its_table_says(registry: Registry) -> None:
    found = {name: len(templates(registry, f"genbench/{name}")) for name in GENBENCH}
    assert found == {name: n for name, (_, n) in GENBENCH.items()}
    assert set(json_of("prompts")) == {f"genbench/{name}" for name in GENBENCH} | {
        "name",
        "simple",
        "photo",
        "clip-templates",
    }


@pytest.mark.parametrize("name", json_of("prompts"))
def test_every_template_has_one_place_for_the_name(name: str, registry: Registry) -> None:
    texts = templates(registry, name)
    assert len(set(texts)) == len(texts)
    assert [text for text in texts if text.count("{}") != 1] == []


def test_genbench_rewrote_what_clip_says_of_signs_digits_and_voc(registry: Registry) -> None:
    assert all(text.endswith("photo of a {}, a traffic sign.") for text in templates(registry, "genbench/gtsrb"))
    assert templates(registry, "genbench/mnist")[0] == "A {} image."
    assert not any(text.endswith(".") for text in templates(registry, "genbench/voc-2007-classification"))
    assert templates(registry, "genbench/kitti-distance") == templates(registry, "name") == ["{}"]
    assert templates(registry, "genbench/imagenet-1k") == templates(registry, "clip-templates")
    assert templates(registry, "genbench/cifar-10") == templates(registry, "genbench/cifar-100")
