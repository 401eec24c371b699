"""An encoded image → what a network sees: decoded, resized and cropped to uint8."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from vgbench import images

try:
    import simplejpeg
except ImportError:  # pragma: no cover  # it is only faster: Pillow decodes to the same bytes
    simplejpeg = None

Crop: TypeAlias = Literal["center", "squash"]
Interpolation: TypeAlias = Literal["bicubic", "bilinear"]

STRIP = 33  # widths of an image that are read of it, however long it is: far more than a crop shows (ours)
_FRAMES = (0xC0, 0xC1, 0xC2)  # Huffman-coded: baseline, extended, progressive (ITU-T T.81, table B.1)
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length
_APP1, _APP2, _SCAN = 0xE1, 0xE2, 0xDA


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What turns an image into an encoder's input; it belongs to the weights and travels with them.

    The shorter side is resized to ``resize_px`` (default ``input_px``; torch's antialiased filter ``interpolation`` on
    uint8) and the central square of ``input_px`` is cut out; with ``crop="squash"`` the whole image is resized to that
    square, whatever its shape. ``mean``, ``std`` per channel on the 0..1 scale.
    """

    input_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop: Crop = "center"
    interpolation: Interpolation = "bicubic"
    resize_px: int | None = None

    def __post_init__(self) -> None:
        if self.crop not in ("center", "squash"):
            raise ValueError(f"crop is {self.crop!r}: it must be center or squash")
        if self.interpolation not in ("bicubic", "bilinear"):
            raise ValueError(f"interpolation is {self.interpolation!r}: it must be bicubic or bilinear")
        if self.resize_px is not None and self.resize_px < self.input_px:
            raise ValueError(f"resize_px is {self.resize_px}: it must be at least input_px, {self.input_px}")

    def normalised(self, pixels: Tensor) -> Tensor:
        """Turn (B, 3, P, P) uint8 into float32 with the mean taken off and divided by std, on its own device."""
        mean = torch.tensor(self.mean, device=pixels.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(1, 3, 1, 1)
        return (pixels.float() / 255 - mean) / std


@dataclass(slots=True)
class Scratch:
    """Memory for the pixels of one image after the other: fresh memory for each costs a fifth of the decoding.

    It starts 16 bytes past a multiple of 32: rows that start at a multiple, as all do of 512 pixels' width, AVX2's
    libjpeg-turbo stores past the cache (``vmovntdq`` in ``jdcolext-avx2.asm``), and resizing has to fetch them back,
    which takes a twenty-fifth of both.
    """

    memory: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def of(self, n_bytes: int) -> NDArray[np.uint8]:
        """Return at least ``n_bytes``; what was written to it before is lost."""
        if len(self.memory) < n_bytes:
            whole = np.empty(n_bytes + 32, np.uint8)
            self.memory = whole[(16 - whole.ctypes.data) % 32 :][:n_bytes]
        return self.memory


def decode(data: bytes, scratch: Scratch | None = None) -> NDArray[np.uint8]:
    """Decode an encoded image to (H, W, 3) uint8 RGB, the bytes that ``images.decode`` gives; grey is repeated.

    simplejpeg decodes a plain JPEG, in about half the time; whatever needs more (a turn, CMYK, another format) or is
    damaged is Pillow's. With a ``scratch`` the pixels may lie there, until the next image does. Raises what
    ``images.decode`` raises.
    """
    if simplejpeg is not None and (n_bytes := _plain_jpeg_bytes(data)):
        memory = None if scratch is None else scratch.of(n_bytes)
        try:
            return cast("NDArray[np.uint8]", simplejpeg.decode_jpeg(data, "RGB", buffer=memory))
        except ValueError:  # damaged: Pillow says whether, and how, it can be read
            pass
    return np.array(images.decode(data).convert("RGB"))  # a copy that torch may take over


def _plain_jpeg_bytes(data: bytes) -> int:
    """Return the bytes of a JPEG's pixels in RGB if its header asks for nothing but decoding, 0 if not.

    That is: 8 bits, one or three channels, upright, one picture. Reads the markers up to the first scan (ITU-T T.81,
    B.1.1); 0 for what is cut off before it.
    """
    if data[:2] != b"\xff\xd8":
        return 0
    at, n_bytes = 2, 0
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _ALONE or marker == 0xFF:  # fill bytes may precede a marker
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _SCAN:
            return n_bytes
        size = int.from_bytes(data[at + 2 : at + 4])
        if marker == _APP1 and not _is_upright(data):
            return 0
        if marker == _APP2 and data[at + 4 : at + 8] == b"MPF\0":  # several pictures in one file
            return 0
        if marker in _FRAMES:
            bits, height, width = data[at + 4], *(int.from_bytes(data[i : i + 2]) for i in (at + 5, at + 7))
            is_known = bits == 8 and data[at + 9] in (1, 3) and height * width <= images.MAX_PIXELS
            n_bytes = 3 * height * width if is_known else 0
        at += 2 + size
    return 0


def _is_upright(data: bytes) -> bool:
    """Say whether Pillow finds no turn in a JPEG's EXIF or XMP."""
    try:
        return bool(Image.open(io.BytesIO(data), formats=("JPEG",)).getexif().get(images.ORIENTATION, 1) == 1)
    except Exception:  # many kinds over damaged EXIF: images.decode decides
        return False


def framed(pixels: NDArray[np.uint8], preprocessing: Preprocessing, *, crop: Crop = "center") -> Tensor:
    """Resize and crop (H, W, 3) uint8 pixels to (3, P, P) uint8, as the preprocessing says.

    ``crop="squash"`` squashes whatever the preprocessing says. Sizes are rounded as torchvision's ``Resize`` and
    ``CenterCrop`` do. Values differ from Pillow's resize by one level at most, two where an image is enlarged or hardly
    shrunk; by more where Pillow 13 resizes an image over twice as high as wide in the other order, down before across.
    """
    side = preprocessing.input_px
    squash = "squash" in (crop, preprocessing.crop)
    if not squash:
        pixels = _without_far_ends(pixels)
    image = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)  # this order: torch sees channels last, and is faster
    if squash:
        return _resized(image, side, side, preprocessing.interpolation)[0]
    height, width = pixels.shape[:2]
    shorter = preprocessing.resize_px or side
    longer = int(shorter * max(height, width) / min(height, width))
    size = (shorter, longer) if height <= width else (longer, shorter)
    image = _resized(image, *size, preprocessing.interpolation)[0]
    top, left = (round((edge - side) / 2) for edge in size)
    return image[:, top : top + side, left : left + side]


def _without_far_ends(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut the far ends off an image that is more than 33 times as long as wide: resized whole, they fill the memory.

    The part kept is an odd multiple of the width, so that the crop that follows reads the same pixels of it.
    """
    height, width = pixels.shape[:2]
    shorter, longer = min(height, width), max(height, width)
    if longer <= STRIP * shorter:
        return pixels
    start = (longer - STRIP * shorter) // 2
    kept = slice(start, start + STRIP * shorter)
    return pixels[kept] if height > width else pixels[:, kept]


def _resized(image: Tensor, height: int, width: int, interpolation: Interpolation) -> Tensor:
    if image.shape[2:] == (height, width):
        return image
    return functional.interpolate(image, (height, width), mode=interpolation, antialias=True, align_corners=False)
