"""Any image file becomes 8-bit RGB or grey: pixels of the odd kinds, and what is refused before it is decoded."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vgbench.images import MAX_PIXELS, decode, judge

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def halves(mode: str = "RGB") -> Image.Image:
    """32 × 16 px, red on the left, blue on the right."""
    image = Image.new("RGB", (32, 16), RED)
    image.paste(BLUE, (16, 0, 32, 16))
    return image.convert(mode)


def close(found: object, expected: tuple[int, ...], within: int = 12) -> bool:
    return bool(np.abs(np.array(found, int) - np.array(expected)).max() <= within)


def test_cmyk_jpeg() -> None:
    image = decode(encoded(halves("CMYK"), "JPEG", quality=95))
    assert image.mode == "RGB" and close(image.getpixel((4, 8)), RED) and close(image.getpixel((28, 8)), BLUE)


def test_grey_of_16_bits_keeps_its_high_byte() -> None:
    values = np.array([[0, 255, 256], [0x1234, 0x8000, 0xFFFF]], np.uint16)
    for kind in ("PNG", "TIFF"):
        image = decode(encoded(Image.fromarray(values), kind))
        assert image.mode == "L" and np.asarray(image).tolist() == [[0, 0, 1], [0x12, 0x80, 0xFF]]


def test_colour_of_16_bits_keeps_its_high_byte() -> None:
    rows = b"".join(b"\0" + struct.pack(">3H", 0x1234, 0x80FF, 0xFFFF) for _ in range(2))
    image = decode(png((1, 2), 16, 2, rows))
    assert image.mode == "RGB" and image.getpixel((0, 1)) == (0x12, 0x80, 0xFF)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animation_is_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    image = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, **options))
    assert image.mode == "RGB" and image.getpixel((3, 3)) == RED


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_the_image_upright(turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    upright = halves()
    stored = {  # how a camera that writes this orientation holds the pixels
        1: lambda i: i,
        2: lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda i: i.rotate(180),
        4: lambda i: i.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda i: i.transpose(Image.Transpose.TRANSPOSE),
        6: lambda i: i.rotate(90, expand=True),
        7: lambda i: i.transpose(Image.Transpose.TRANSVERSE),
        8: lambda i: i.rotate(-90, expand=True),
    }[turn](upright)
    image = decode(encoded(stored, "JPEG", quality=95, exif=exif))
    assert image.size == (32, 16) and close(image.getpixel((4, 8)), RED) and close(image.getpixel((28, 8)), BLUE)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow says so, and goes on
def test_damaged_exif_leaves_the_pixels_as_stored() -> None:
    data = encoded(halves(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken")
    assert decode(data).size == (32, 16)


def test_palette_and_bitmap() -> None:
    palette = decode(encoded(halves("P"), "PNG"))
    assert palette.mode == "RGB" and close(palette.getpixel((4, 8)), RED)
    bitmap = decode(encoded(Image.fromarray(np.eye(8, dtype=bool)), "PNG"))
    assert bitmap.mode == "L" and np.array_equal(np.asarray(bitmap), np.eye(8, dtype=np.uint8) * 255)


def test_transparency_lies_on_black() -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = 255, 0, 0, 255
    rgba[0, 1] = 0, 255, 0, 0  # a colour that nobody was meant to see
    rgba[1, 0] = 0, 0, 255, 128
    image = decode(encoded(Image.fromarray(rgba), "PNG"))
    assert image.mode == "RGB" and image.getpixel((0, 0)) == RED and image.getpixel((1, 0)) == (0, 0, 0)
    assert close(image.getpixel((0, 1)), (0, 0, 128), 1)
    grey = decode(encoded(Image.fromarray(rgba[..., [0, 3]], "LA"), "PNG"))
    assert grey.getpixel((0, 0)) == RED[:1] * 3
    keyed = Image.new("P", (2, 1))
    keyed.putpalette([255, 255, 255, 10, 20, 30])
    keyed.putpixel((1, 0), 1)
    found = decode(encoded(keyed, "PNG", transparency=0))
    assert [found.getpixel((x, 0)) for x in (0, 1)] == [(0, 0, 0), (10, 20, 30)]


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    image_data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + image_data + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_001, 5_000), (60_000, 60_000)])
def test_decompression_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    bomb = png(size, 8, 2, bytes(100))  # hardly any data: nothing but the header can have been looked at
    judged = judge(bomb)
    assert judged.reason is not None and ("megapixels" in judged.reason or "exceeds limit" in judged.reason)


def test_largest_image_is_allowed() -> None:
    width = 10_000
    side = MAX_PIXELS // width
    data = png((width, side), 1, 0, (b"\0" + bytes(width // 8)) * side)
    judged = judge(data)
    assert judged.reason is None and (judged.width_px, judged.height_px) == (width, side)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated_image_does_not_decode(kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = encoded(noise, kind)
    assert judge(data).reason is None
    assert judge(data[: int(len(data) * share)]).reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "no bytes"), (b"<html>", "not an image of a known format"), (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image")],
)
def test_what_is_no_image_is_said_so(data: bytes, reason: str) -> None:
    assert reason in (judge(data).reason or "")


def test_pixels_without_a_range_are_refused() -> None:
    assert "no known range" in (judge(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")).reason or "")
    large = Image.fromarray(np.full((4, 4), 1 << 20, np.int32))
    assert "no known range" in (judge(encoded(large, "TIFF")).reason or "")
