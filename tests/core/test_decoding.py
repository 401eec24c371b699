"""The faster decoder gives Pillow's bytes, torch's resize its picture to a level; what is damaged is Pillow's."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vgbench import decoding, images
from vgbench.decoding import Preprocessing

simplejpeg = pytest.importorskip("simplejpeg")


def picture(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Smooth noise with some sharp pixels in it."""
    rng = np.random.default_rng([width, height, seed])
    coarse = rng.integers(0, 256, (max(height // 8, 1), max(width // 8, 1), 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).copy()
    pixels[rng.random((height, width)) < 0.05] = 255
    return Image.fromarray(pixels).convert(mode)


def jpeg(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    return np.asarray(images.decode(data).convert("RGB"))


def taken_by_simplejpeg(data: bytes, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Say whether decoding leaves Pillow's decoder alone."""
    asked = []
    monkeypatch.setattr(images, "decode", lambda data: asked.append(data) or Image.new("RGB", (1, 1)))
    decoding.decode(data)
    monkeypatch.undo()
    return not asked


@settings(max_examples=150, deadline=None)
@given(
    width=st.integers(1, 130),
    height=st.integers(1, 130),
    quality=st.integers(5, 100),
    subsampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    progressive=st.booleans(),
    mode=st.sampled_from(["RGB", "L"]),
    restart=st.sampled_from([0, 1]),
)
def test_decoders_agree_to_the_bit(
    width: int, height: int, quality: int, subsampling: str, progressive: bool, mode: str, restart: int
) -> None:
    options = {"quality": quality, "progressive": progressive, "restart_marker_rows": restart}
    if mode == "RGB":
        options["subsampling"] = subsampling
    data = jpeg(picture(width, height, mode), **options)
    found = decoding.decode(data)
    assert found.dtype == np.uint8 and found.shape == (height, width, 3)
    np.testing.assert_array_equal(found, by_pillow(data))


@pytest.mark.parametrize("colorsubsampling", ["444", "422", "420", "440", "411", "Gray"])
def test_samplings_that_pillow_does_not_write_agree_too(colorsubsampling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for width, height in ((97, 61), (16, 8), (5, 33)):
        pixels = np.ascontiguousarray(np.asarray(picture(width, height)))
        data = simplejpeg.encode_jpeg(pixels, 90, "RGB", colorsubsampling)
        np.testing.assert_array_equal(decoding.decode(data), by_pillow(data))
        assert taken_by_simplejpeg(data, monkeypatch)


def test_plain_jpegs_are_simplejpegs(monkeypatch: pytest.MonkeyPatch) -> None:
    for options in ({}, {"progressive": True}, {"comment": b"x" * 70}, {"icc_profile": b"y" * 70_000}, {"dpi": (3, 3)}):
        assert taken_by_simplejpeg(jpeg(picture(40, 30), **options), monkeypatch)
    exif = Image.Exif()
    exif[0x010F] = "a camera, held upright"
    assert taken_by_simplejpeg(jpeg(picture(40, 30), exif=exif), monkeypatch)


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_are_followed(turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    data = jpeg(picture(40, 30), exif=exif)
    np.testing.assert_array_equal(decoding.decode(data), by_pillow(data))
    assert decoding.decode(data).shape == ((30, 40, 3) if turn < 5 else (40, 30, 3))


def test_turn_that_only_xmp_tells_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = jpeg(picture(40, 30), xmp=packet)
    assert decoding.decode(data).shape == (40, 30, 3)
    np.testing.assert_array_equal(decoding.decode(data), by_pillow(data))


def test_other_colours_formats_and_several_pictures_are_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    png, mpo = io.BytesIO(), io.BytesIO()
    picture(20, 10, "RGBA").save(png, "PNG")
    picture(20, 10).save(mpo, "MPO", save_all=True, append_images=[picture(20, 10, seed=1)])
    for data in (jpeg(picture(20, 10, "CMYK")), png.getvalue(), mpo.getvalue()):
        np.testing.assert_array_equal(decoding.decode(data), by_pillow(data))
        assert not taken_by_simplejpeg(data, monkeypatch)


def test_rgb_that_an_adobe_marker_tells_agrees() -> None:
    """Three channels without a transform: Adobe's APP14 marker says so, and libjpeg heeds it in both."""
    plain = jpeg(picture(40, 30), subsampling="4:4:4")
    app0 = 4 + int.from_bytes(plain[4:6])
    for transform in (0, 1):
        adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
        data = plain[:2] + adobe + plain[app0:]
        np.testing.assert_array_equal(decoding.decode(data), by_pillow(data))


@pytest.mark.parametrize("progressive", [False, True])
def test_cut_and_damaged_files_behave_as_with_pillow(progressive: bool) -> None:
    whole = jpeg(picture(64, 48), progressive=progressive)
    rng = np.random.default_rng(0)
    damaged = [whole[:n] for n in [0, 1, 2, 3, 20, *range(100, len(whole), 97), len(whole) - 2, len(whole) - 1]]
    for _ in range(60):
        bent = bytearray(whole)
        for at in rng.integers(2, len(whole), 3):
            bent[at] = rng.integers(0, 256)
        damaged.append(bytes(bent))
    damaged.append(whole + b"something after the end")
    outcomes = [(_outcome(decoding.decode, data), _outcome(by_pillow, data)) for data in damaged]
    for ours, theirs in outcomes:
        if isinstance(theirs, str):
            assert ours == theirs
        else:
            np.testing.assert_array_equal(ours, theirs)
    assert {isinstance(theirs, str) for _, theirs in outcomes} == {True, False}


def _outcome(decode: Any, data: bytes) -> Any:
    try:
        return decode(data)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def test_what_pillow_would_refuse_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    with pytest.raises(ValueError, match="40 × 30 px is more than"):
        decoding.decode(jpeg(picture(40, 30)))


def test_without_simplejpeg_pillow_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = jpeg(picture(33, 21))
    fast = decoding.decode(data)
    monkeypatch.setattr(decoding, "simplejpeg", None)
    np.testing.assert_array_equal(decoding.decode(data), fast)


# ── Resize and crop ──────────────────────────────────────────────────────────────────────────────


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(37, 300),
    stretch=st.floats(0.2, 2.0),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    resize_px=st.sampled_from([None, 37]),
)
def test_frame_is_torchvisions_on_pillow_images_to_a_level_or_two(
    width: int, stretch: float, interpolation: str, resize_px: int | None
) -> None:
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    image = picture(width, max(37, int(width * stretch)))
    preprocessing = Preprocessing(32, (0, 0, 0), (1, 1, 1), interpolation=interpolation, resize_px=resize_px)  # type: ignore[arg-type]
    transform = Compose([Resize(resize_px or 32, InterpolationMode(interpolation)), CenterCrop(32)])
    is_much_smaller = min(image.size) >= 1.5 * (resize_px or 32)
    allowed = 1 if is_much_smaller else 2
    assert levels(decoding.framed(np.array(image), preprocessing), np.asarray(transform(image))) <= allowed


@settings(max_examples=60, deadline=None)
@given(width=st.integers(32, 200), height=st.integers(32, 200))
def test_squash_is_the_two_passes_across_first(width: int, height: int) -> None:
    """Also of tall images, which Pillow 13 resizes down first, and every Pillow before it across first."""
    pixels = np.array(picture(width, height))
    across = resized_exactly(pixels, height, 32)
    squashed = decoding.framed(pixels, Preprocessing(32, (0, 0, 0), (1, 1, 1), crop="squash"))
    assert levels(squashed, resized_exactly(across, 32, 32)) <= 1


@settings(max_examples=40, deadline=None)
@given(width=st.integers(9, 31), height=st.integers(9, 31))
def test_enlarged_images_are_pillows_to_two_levels(width: int, height: int) -> None:
    image = picture(width, height)
    enlarged = decoding.framed(np.array(image), Preprocessing(32, (0, 0, 0), (1, 1, 1), crop="squash"))
    assert levels(enlarged, np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC))) <= 2


def levels(found: torch.Tensor, expected: np.ndarray) -> int:
    """Return the largest difference of (3, H, W) pixels from (H, W, 3)."""
    return int(np.abs(found.permute(1, 2, 0).numpy().astype(int) - expected).max())


def resized_exactly(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize by the antialiased bicubic filter in float64, and round."""
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].double()
    if image.shape[2:] != (height, width):
        image = torch.nn.functional.interpolate(image, (height, width), mode="bicubic", antialias=True)
    return image[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()


def test_image_of_the_right_size_is_left_as_it_is() -> None:
    pixels = np.array(picture(32, 32))
    framed = decoding.framed(pixels, Preprocessing(32, (0, 0, 0), (1, 1, 1)))
    np.testing.assert_array_equal(framed.permute(1, 2, 0).numpy(), pixels)


@pytest.mark.parametrize("shape", [(1, 4_001), (4_001, 1), (3, 501)])
def test_strip_is_framed_by_its_middle_alone(shape: tuple[int, int]) -> None:
    """Resized whole, a strip of 1 × 4,001 px would be 32 × 128,032 px; what its frame shows is the middle."""
    pixels = np.random.RandomState(0).randint(0, 256, (*shape, 3)).astype(np.uint8)
    preprocessing = Preprocessing(32, (0, 0, 0), (1, 1, 1))
    framed = decoding.framed(pixels, preprocessing)
    assert framed.shape == (3, 32, 32)
    other = pixels.copy()
    along = other if shape[0] > shape[1] else other.transpose(1, 0, 2)
    along[: len(along) // 3] = 0
    along[-(len(along) // 3) :] = 255
    np.testing.assert_array_equal(decoding.framed(other, preprocessing).numpy(), framed.numpy())


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"crop": "corner"}, "crop is 'corner'"),
        ({"interpolation": "lanczos"}, "interpolation is 'lanczos'"),
        ({"resize_px": 16}, "resize_px is 16: it must be at least input_px, 32"),
    ],
)
def test_preprocessing_that_cannot_be_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Preprocessing(32, (0, 0, 0), (1, 1, 1), **values)


# ── Memory ───────────────────────────────────────────────────────────────────────────────────────


def test_scratch_changes_no_pixel_whatever_lay_there_before() -> None:
    scratch = decoding.Scratch()
    for width, height in ((64, 48), (16, 90), (120, 8)):  # less memory, then more
        data = jpeg(picture(width, height))
        np.testing.assert_array_equal(decoding.decode(data, scratch), decoding.decode(data))


def test_scratch_is_large_enough_and_its_rows_are_stored_through_the_cache() -> None:
    """Too little memory would be refused by the fast decoder, and Pillow would take its place in silence."""
    scratch = decoding.Scratch()
    for n_bytes in (1, 786_432, 1_000, 1 << 20):
        memory = scratch.of(n_bytes)
        assert len(memory) >= n_bytes and memory.ctypes.data % 32 == 16
    data = jpeg(picture(64, 48))
    assert np.shares_memory(decoding.decode(data, scratch), scratch.memory)
