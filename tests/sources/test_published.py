"""Published archives: one image set whatever holds it, one split at a time, and lists that are compared."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Answer
from tests.sources.drawn import CLASSES as DIGITS
from tests.sources.drawn import call, digit_folder, digit_png, opened, write_tar
from tests.sources.twins import (
    CLASSES,
    LAYOUTS,
    WITH_VAL,
    WNIDS,
    N,
    below,
    genrobust,
    images,
    one_tar,
    one_zip,
    realfake,
    rows,
    sharded_tars,
    val_images,
    write_file_list,
    write_folder,
    write_zip,
)

from vgbench.images import ImageSet
from vgbench.locate import Locator
from vgbench.types import Made
from vgbench_plugins.published.reading import index_published


def index(path: Path, folder: Path, *, manifest: Path | None = None, **params: Any) -> Made:
    if manifest is not None:
        params["manifest"] = Locator().path(str(manifest))
    return call(index_published, path, folder, **{"split": "", "classes": CLASSES, **params})


def found(path: Path, folder: Path, **params: Any) -> ImageSet:
    index(path, folder, **params)
    return opened(folder, path)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


WHOLE = sorted((WNIDS.index(name[:9]), name.rpartition(".")[0], sha256(data)) for name, data in images().items())


# ── Layouts ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("layout", LAYOUTS)
def test_same_images_whatever_holds_them(tmp_path: Path, layout: str) -> None:
    place = LAYOUTS[layout](tmp_path / "data")
    assert rows(found(place, tmp_path)) == WHOLE
    assert list(opened(tmp_path, place).encoded()), "what was indexed cannot be read again"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_copied(tmp_path: Path, layout: str) -> None:
    index(LAYOUTS[layout](tmp_path / "data"), tmp_path)
    assert digit_png(1, 1)[:200] not in (tmp_path / "out" / "images.parquet").read_bytes()


def test_bytes_are_those_of_the_files(tmp_path: Path) -> None:
    for make in (one_tar, one_zip, sharded_tars):
        place = make(tmp_path / make.__name__)
        assert set(found(place, tmp_path / make.__name__ / "made").encoded()) == set(images().values())


def test_pattern_names_some_of_the_archives(tmp_path: Path) -> None:
    pattern = Path(f"{sharded_tars(tmp_path / 'data')}/train-{{000..001}}.tar")
    assert len(found(pattern, tmp_path)) == 8 and list(opened(tmp_path, pattern).encoded())


def test_place_that_is_one_zip_can_be_renamed(tmp_path: Path) -> None:
    place = one_zip(tmp_path / "data")
    index(place, tmp_path)
    place.rename(tmp_path / "other.zip")
    assert set(opened(tmp_path, tmp_path / "other.zip").encoded()) == set(images().values())


def test_file_whose_name_begins_with_at_is_no_member(tmp_path: Path) -> None:
    place = write_folder(tmp_path / "data", below("@data/train", images()))
    assert set(found(place, tmp_path).encoded()) == set(images().values())


def test_class_without_an_image_is_refused_or_a_shortfall(tmp_path: Path) -> None:
    files = {name: data for name, data in images().items() if not name.startswith(WNIDS[2])}
    place = write_zip(tmp_path / "all.zip", below("train", files).items())
    with pytest.raises(ValueError, match=rf"1 of 3 classes are not there: {WNIDS[2]} \(chain saw\)"):
        index(place, tmp_path)
    assert index(place, tmp_path / "partial", partial=True).per_class == {WNIDS[0]: N, WNIDS[1]: N}


def test_other_classes_are_counted(tmp_path: Path) -> None:
    made = index(one_tar(tmp_path / "data"), tmp_path, classes=CLASSES[:1])
    assert made.items == N and made.rejected == {"class not asked for": 2 * N, "of split val": 3}


def test_classes_of_any_list_are_found_by_id_name_and_synonym(tmp_path: Path) -> None:
    place = digit_folder(tmp_path / "data" / "train")
    assert index(place.parent, tmp_path, classes=DIGITS).per_class == {f"digit-{digit}": 3 for digit in range(10)}


def test_folders_below_a_class_are_its_own(tmp_path: Path) -> None:
    files = {name.replace("/", "/more/"): data for name, data in images().items()}
    made = found(write_folder(tmp_path / "data", files), tmp_path)
    assert len(made) == 3 * N and made.ids[0] == f"{WNIDS[0]}/more/{WNIDS[0]}_0.JPEG"


def test_folder_below_a_class_that_was_not_asked_for_names_no_class(tmp_path: Path) -> None:
    files = {**images(), "n09999999/tench/1.JPEG": digit_png(9)}
    made = index(write_folder(tmp_path / "data", files), tmp_path)
    assert made.items == 3 * N and made.rejected == {"class not asked for": 1}


def test_versions_of_one_publication_lie_side_by_side(tmp_path: Path) -> None:
    for version in range(2):
        files = below("train", images(seed=10 * version))
        write_folder(tmp_path / "data" / f"version-{version}", files)
    made = found(tmp_path / "data", tmp_path)
    assert len(made) == 2 * 3 * N and f"version-1/train/{WNIDS[0]}/{WNIDS[0]}_0.JPEG" in made.ids


def test_archive_beside_its_own_files_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", below("train", images()))
    write_zip(tmp_path / "data" / "train.zip", images().items())
    with pytest.raises(ValueError, match=rf"the id 'train/{WNIDS[0]}/{WNIDS[0]}_0\.JPEG' stands twice"):
        index(tmp_path / "data", tmp_path)


def test_images_that_do_not_decode_are_counted(tmp_path: Path) -> None:
    files = {**images(40), f"{WNIDS[1]}/broken.JPEG": b"<html>"}
    made = index(write_tar(tmp_path / "all.tar", files.items()), tmp_path)
    assert made.items == 120 and made.rejected == {"does not decode": 1}


def test_killed_index_goes_on_from_its_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vgbench.judging.CHECKPOINT", 7)
    place = sharded_tars(tmp_path / "data")
    index(place, tmp_path)
    first, parts = (tmp_path / "out" / "images.parquet").read_bytes(), sorted((tmp_path / "scratch").iterdir())
    before = parts[0].stat().st_mtime_ns
    parts[1].unlink()
    index(place, tmp_path)
    assert (tmp_path / "out" / "images.parquet").read_bytes() == first and parts[0].stat().st_mtime_ns == before


# ── Splits ───────────────────────────────────────────────────────────────────────────────────────


def test_val_is_asked_for_and_never_mixed_in(tmp_path: Path) -> None:
    place = genrobust(tmp_path / "data")
    assert index(place, tmp_path / "train").rejected == {"of split val": 3}
    made = found(place, tmp_path / "val", split="val")
    assert set(made.encoded()) == set(val_images().values())


def test_names_of_splits(tmp_path: Path) -> None:
    for name in ("validation", "valid", "Val", "val_images_0", "ILSVRC2012_img_val", "train/val", "val/train-size-512"):
        place = write_folder(tmp_path / name, {**below(f"data/{name}", images(1)), **below("data/training", images())})
        assert index(place, tmp_path / "made" / name).items == 3 * N
        assert index(place, tmp_path / "made-val" / name, split="val").items == 3


def test_only_val_is_refused_until_it_is_asked_for(tmp_path: Path) -> None:
    place = write_zip(tmp_path / "x.zip", below("val", images()).items())
    with pytest.raises(ValueError, match="each image is of a split, and none of train; say split=val"):
        index(place, tmp_path)
    assert index(place, tmp_path / "val", split="val").items == 3 * N


def test_split_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no image of split 'test'; say split=train or split=val"):
        index(genrobust(tmp_path / "data"), tmp_path, split="test")
    with pytest.raises(ValueError, match=r"no image of split 'val'; leave split= out"):
        index(write_folder(tmp_path / "plain", images()), tmp_path, split="val")


def test_word_of_two_splits_names_none(tmp_path: Path) -> None:
    place = write_folder(tmp_path / "data", below("train_and_val", images()))
    assert index(place, tmp_path).items == 3 * N


def test_class_whose_name_has_the_word_is_no_split(tmp_path: Path) -> None:
    classes = [{"id": "n02917067", "name": "bullet train", "synonyms": []}]
    place = write_folder(tmp_path / "data", {"val/bullet_train/1.png": digit_png(1), "train/bullet train/1.png": b""})
    assert index(place, tmp_path, classes=classes, split="val").per_class == {"n02917067": 1}


def test_split_that_is_called_as_a_class_is_no_class_above_others(tmp_path: Path) -> None:
    """CIFAR-100 and VOC have a class "train": the split's folder is not the class of all that lies in it."""
    asked = [{"id": name, "name": name, "synonyms": []} for name in ("train", "bus")]
    files = {f"train/{name}/{i}.png": digit_png(i) for i, name in enumerate(("apple", "bus", "train"))}
    made = found(write_folder(tmp_path / "data", files), tmp_path / "out", classes=asked)
    assert sorted(zip(made.ids, made.labels.tolist(), strict=True)) == [("bus/1.png", 1), ("train/2.png", 0)]


def test_folder_of_a_class_is_no_split(tmp_path: Path) -> None:
    classes = [{"id": "train", "name": "train", "synonyms": []}, {"id": "val", "name": "val", "synonyms": []}]
    files = {f"{name}/1.png": digit_png(digit) for digit, name in enumerate(("train", "val"))}
    assert index(write_folder(tmp_path / "data", files), tmp_path, classes=classes).per_class == {"train": 1, "val": 1}


def test_images_of_no_class_folder_are_counted(tmp_path: Path) -> None:
    place = write_folder(tmp_path / "data", {**below("train", images()), "train/logo.png": b"", "a.txt": b""})
    assert index(place, tmp_path).rejected == {"not in a class folder": 1, "not an image file": 1}
    with pytest.raises(ValueError, match=r"no image lies there in a class folder or an archive \(1 not in a class"):
        index(write_folder(tmp_path / "empty", {"logo.png": b""}), tmp_path)


# ── Lists ────────────────────────────────────────────────────────────────────────────────────────


def write_sums(path: Path, files: dict[str, bytes], algorithm: str = "sha256", mark: str = " ") -> Path:
    lines = [f"{hashlib.new(algorithm, data).hexdigest()} {mark}{name}\n" for name, data in files.items()]
    path.write_text("".join(lines))
    return path


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("realfake", "flat-shards")])
@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_sums_hold_in_every_layout(tmp_path: Path, layout: str, algorithm: str) -> None:
    place = LAYOUTS[layout](tmp_path / "data")
    files = {name: data for name, data in images().items() if not name.endswith("_0.JPEG")}
    made = index(place, tmp_path, manifest=write_sums(tmp_path / "SUMS", files, algorithm, "*"))
    n_val = 3 if layout in WITH_VAL else 0
    assert made.items == len(files) == 9 and made.rejected == {"not in the manifest": 3 + n_val}


def test_other_bytes_are_named_with_both_hashes(tmp_path: Path) -> None:
    files = images()
    name = f"{WNIDS[1]}/{WNIDS[1]}_2.JPEG"
    sums = write_sums(tmp_path / "SUMS", files)
    files[name] = digit_png(1, 99)
    for make in (write_folder, lambda root, files: write_zip(root / "x.zip", files.items())):
        place = make(tmp_path / str(id(make)), files)
        with pytest.raises(
            ValueError, match=rf"1 of 12 files have other bytes: {name} has (\w+), .* says (\w+)"
        ) as error:
            index(place, tmp_path, manifest=sums)
        assert sha256(files[name]) in str(error.value) and sha256(images()[name]) in str(error.value)


def test_listed_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    sums = write_sums(tmp_path / "SUMS", {**images(), f"{WNIDS[0]}/gone.JPEG": b""})
    with pytest.raises(ValueError, match=rf"SUMS: 1 of 13 files it lists are not there: {WNIDS[0]}/gone\.JPEG"):
        index(one_zip(tmp_path / "data"), tmp_path, manifest=sums)


def test_sums_of_archives(tmp_path: Path) -> None:
    place = sharded_tars(tmp_path / "data")
    archives = {p.name: p.read_bytes() for p in place.glob("train-00[01].tar")}
    made = index(place, tmp_path, manifest=write_sums(tmp_path / "SUMS", archives))
    assert made.items == 8 and made.rejected == {"not in the manifest": 4 + 3}
    archives["train-000.tar"] += b"x"
    with pytest.raises(ValueError, match=r"1 of 2 files have other bytes: train-000\.tar has"):
        index(place, tmp_path, manifest=write_sums(tmp_path / "SUMS", archives))


def test_sum_of_the_only_archive(tmp_path: Path) -> None:
    place = one_zip(tmp_path / "data")
    sums = write_sums(tmp_path / "SUMS", {"all.zip": place.read_bytes()})
    assert index(place, tmp_path, manifest=sums).items == 3 * N


def test_path_that_could_be_two_files_is_refused(tmp_path: Path) -> None:
    place = sharded_tars(tmp_path / "data")
    with zipfile.ZipFile(place / "train-009.zip", "w") as archive:
        archive.writestr(f"{WNIDS[0]}/{WNIDS[0]}_0.JPEG", b"another")
    with pytest.raises(ValueError, match=r"could be train-000/.*_0\.JPEG or train-009/.*_0\.JPEG"):
        index(place, tmp_path, manifest=write_sums(tmp_path / "SUMS", images()))


def test_whole_path_is_meant_before_an_end(tmp_path: Path) -> None:
    place = write_folder(tmp_path / "data", {**below("train", images()), **below("old/train", images(seed=20))})
    made = index(place, tmp_path, manifest=write_sums(tmp_path / "SUMS", below("train", images())))
    assert made.items == made.rejected["not in the manifest"] == 3 * N


def test_sums_as_other_programs_write_them(tmp_path: Path) -> None:
    sums = write_sums(tmp_path / "SUMS", below(".", images()))
    lines = [line.split(" ", 1) for line in sums.read_text().splitlines()]
    sums.write_bytes("".join(f"{digest.upper()} {name}\r\n" for digest, name in lines).encode())
    assert index(one_zip(tmp_path / "data"), tmp_path, manifest=sums).items == 3 * N


def test_file_list_of_realfake(tmp_path: Path) -> None:
    place = realfake(tmp_path / "data")
    (place / "syn" / "train" / WNIDS[0] / "more.jpg").write_bytes(digit_png(0, 30))
    made = index(place, tmp_path, manifest=place / "syn" / "file_list.txt")
    assert rows(opened(tmp_path, place)) == WHOLE and made.rejected == {"not in the manifest": 1}
    (place / "syn" / "train" / WNIDS[2] / f"{WNIDS[2]}_1.jpg").unlink()
    with pytest.raises(ValueError, match=rf"1 of 12 files it lists are not there: {WNIDS[2]}/{WNIDS[2]}_1\.JPEG"):
        index(place, tmp_path / "again", manifest=place / "syn" / "file_list.txt")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("hello\n", r":1: 'hello' is neither HASH  PATH"),
        ("\n", "lists nothing"),
        (f"{'a' * 63}  x\n", r":1: 'a+  x' is neither"),
        (f"{'a' * 64}  x\n{'b' * 64}  x\n", ":2: x stands twice"),
        (f"/{WNIDS[0]}/a.JPEG 0\n/{WNIDS[0]}/b.JPEG 1\n", f"{WNIDS[0]} has the labels 0 and 1"),
        (f"/{WNIDS[0]}/a.JPEG 0\n/{WNIDS[1]}/b.JPEG 0\n", f"the label 0 is of {WNIDS[0]} and of {WNIDS[1]}"),
    ],
)
def test_list_that_says_nothing_clear_is_refused(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "LIST").write_text(text)
    with pytest.raises(ValueError, match=what):
        index(one_zip(tmp_path / "data"), tmp_path, manifest=tmp_path / "LIST")


def test_names_with_escapes(tmp_path: Path) -> None:
    files = {f"{WNIDS[0]}/odd\nname.png": digit_png(0)}
    lines = f"\\{sha256(digit_png(0))}  {WNIDS[0]}/odd\\nname.png\n"  # as sha256sum writes it
    (tmp_path / "SUMS").write_text(lines)
    place = write_folder(tmp_path / "data", files)
    assert index(place, tmp_path, manifest=tmp_path / "SUMS", classes=CLASSES[:1]).items == 1


def test_list_that_changes_after_it_was_planned_with_is_refused(tmp_path: Path) -> None:
    place, sums = one_zip(tmp_path / "data"), write_sums(tmp_path / "SUMS", images())
    planned = Locator().path(str(sums))
    write_sums(sums, images(3))
    with pytest.raises(ValueError, match="SUMS changed after it was planned with"):
        call(index_published, place, tmp_path, split="", classes=CLASSES, manifest=planned)


# ── As a user types it ───────────────────────────────────────────────────────────────────────────


def test_run_is_the_same_of_folder_and_zip(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    folder = digit_folder(tmp_path / "data", n=6)
    files = [(p.relative_to(folder).as_posix(), p.read_bytes()) for p in sorted(folder.rglob("*.png"))]
    write_zip(tmp_path / "data.zip", files)
    answer = vgbench(
        "run",
        "--source",
        "published:data",
        "published:data.zip",
        "--tasks",
        "digits",
        "--images-per-class",
        "4",
        "--json",
    )
    one, two = answer.json["cells"]
    assert answer.code == 0 and one["value"] == two["value"] > 0.3, answer.err


@pytest.mark.parametrize("form", ["folder", "wds", "parquet"])
def test_exports_hold_the_same_bytes_whatever_held_them(
    vgbench: Callable[..., Answer], tmp_path: Path, form: str
) -> None:
    folder = digit_folder(tmp_path / "data" / "train")
    files = [(f"train/{p.relative_to(folder).as_posix()}", p.read_bytes()) for p in sorted(folder.rglob("*.png"))]
    write_tar(tmp_path / "data.tar", files)
    hashes = []
    for place in ("data", "data.tar"):
        request = ("--source", f"published:{place}", "--classes", "digits", "--images-per-class", "2")
        answer = vgbench("generate", *request, "-o", f"{place}-{form}", "--format", form)
        assert answer.code == 0, answer.err
        exported = sorted(p for p in (tmp_path / f"{place}-{form}").rglob("*") if p.is_file())
        hashes.append([sha256(p.read_bytes()) for p in exported if p.suffix in (".png", ".tar", ".parquet")])
    assert hashes[0] == hashes[1] != []


def test_realfake_is_read_from_the_hubs_cache_once_its_commit_was_observed(
    vgbench: Callable[..., Answer], tmp_path: Path, home: Path
) -> None:
    pytest.importorskip("huggingface_hub")
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "hf" / "hub" / "datasets--JianhaoDYDY--Real-Fake" / "snapshots" / commit
    files = [(f"{digit}/{i}.png", digit_png(digit, i)) for digit in range(10) for i in range(6)]
    write_zip(snapshot / "train.zip", files)
    Locator(home).lock_hub("JianhaoDYDY/Real-Fake@main", commit)
    env = {"HF_HOME": str(tmp_path / "hf")}
    answer = vgbench("run", "--source", "realfake", "--tasks", "digits", "--offline", "--json", env=env)
    assert answer.code == 0 and answer.json["cells"][0]["value"] > 0.3, answer.err


def test_papers_wait_for_their_download_and_say_so(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    names = ("realfake", "genrobust", "genrobust-base", "lbgen")
    answer = vgbench("plan", "--source", *names, "--tasks", "digits", "--json")
    reasons = {cell["source"]: cell["reason"] for cell in answer.json["cells"]}
    assert answer.code == 3 and {cell["state"] for cell in answer.json["cells"]} == {"blocked"}
    assert "vgbench data fetch --source realfake" in reasons["realfake"]
    assert "Finetuned-Generated-ImageNet-1K" in reasons["genrobust"]
    assert "Base-Generated-ImageNet-1K" in reasons["genrobust-base"]
    assert "were not published" in reasons["lbgen"]


def test_releases_of_genrobust_are_different_sources_of_different_sight(
    vgbench: Callable[..., Answer], tmp_path: Path
) -> None:
    digit_folder(tmp_path / "data")
    answer = vgbench("plan", "--source", "genrobust:data", "genrobust-base:data", "--tasks", "digits", "--json")
    one, two = (cell["digest"] for cell in answer.json["cells"])
    assert answer.code == 0 and one != two
    seen = [vgbench("show", name, "--json").json[0]["sees"]["level"] for name in ("genrobust", "genrobust-base")]
    assert seen == ["full labelled set", "class names"]


def test_list_of_a_file_in_a_label_list_may_have_lost_its_suffix(tmp_path: Path) -> None:
    for suffix in ("jpg", "JPEG", "JPEG.jpg", "png"):
        place = write_folder(tmp_path / suffix, below("train", images(suffix=suffix)))
        assert index(place, tmp_path / "made" / suffix, manifest=write_file_list(tmp_path / "list.txt")).items == 3 * N
