"""Draw a contact sheet: a row of thumbnails for each class, so that a user sees what a source makes before paying."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from vgbench.images import ImageSet, decode
from vgbench.samples import samples
from vgbench.types import Made, Step

SHEET_FILE = "sheet.png"
SUMMARY_FILE = "sheet.json"

# All sizes are our own, chosen by eye on sheets of 1, 10, 100 and 1,000 classes.
CELLS_PX = (160, 128, 96, 64)  # the largest at which everything fits on the page is taken
PAGE_PX = (3200, 2400)
LABEL_PX = 170
GAP_PX = 6
MARGIN_PX = 16
HEAD_PX = 56
FOOT_PX = 28
PROMPTS = 3  # shown in the summary, of different classes

INK, FAINT, WARNING, GROUND, CELL = "#1a1a1a", "#777777", "#b3261e", "#ffffff", "#ececec"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows lie: ``strips`` side by side, each with ``rows`` classes of ``columns`` cells of ``cell_px``."""

    cell_px: int
    columns: int
    rows: int
    strips: int

    @property
    def strip_px(self) -> int:
        return LABEL_PX + self.columns * (self.cell_px + GAP_PX)

    @property
    def classes(self) -> int:
        return self.rows * self.strips

    @property
    def size_px(self) -> tuple[int, int]:
        width = 2 * MARGIN_PX + self.strips * self.strip_px + (self.strips - 1) * MARGIN_PX
        return width, HEAD_PX + self.rows * (self.cell_px + GAP_PX) + FOOT_PX


def sheet(step: Step) -> Made:
    """Write ``sheet.png`` and ``sheet.json`` (sizes, formats, images of each class, sample prompts, what was cut).

    Raises ``ValueError`` when there is no image at all.
    """
    found = ImageSet.open(step.inputs["images"])
    classes: list[tuple[str, str]] = [(class_id, name) for class_id, name in step.params["classes"]]
    wanted: int = step.params["images_per_class"]
    if not len(found):
        raise ValueError("the source has no image of any of the classes")
    layout = laid_out(len(classes), wanted)
    thumbnails: list[list[Image.Image]] = [[] for _ in classes]
    sizes: Counter[str] = Counter()
    formats: Counter[str] = Counter()
    prompts: dict[int, str] = {}
    for sample in samples(found):
        image, label = decode(sample.data), sample.label
        sizes[f"{image.width}x{image.height}"] += 1
        formats[f"{sample.suffix.removeprefix('.')} {image.mode}"] += 1
        if sample.prompt is not None:
            prompts.setdefault(label, sample.prompt)
        thumbnails[label].append(thumbnail(image, layout.cell_px))
    per_class = Counter({class_id: 0 for class_id, _ in classes})
    per_class.update(classes[label][0] for label in found.labels.tolist())
    counts = [per_class[class_id] for class_id, _ in classes]
    cut: dict[str, int] = step.params["cut"]
    subtitle = f"{len(classes)} {_s(len(classes), 'class', 'classes')} x {wanted}, {_sizes_text(sizes)}"
    page = draw(layout, classes, counts, wanted, thumbnails, title=step.params["title"], subtitle=subtitle, cut=cut)
    page.save(step.out / SHEET_FILE, "PNG")
    summary = {
        "images": len(found),
        "per_class": dict(per_class),
        "sizes_px": dict(sizes.most_common()),
        "formats": dict(formats.most_common()),
        "prompts": [[classes[label][0], prompt] for label, prompt in list(prompts.items())[:PROMPTS]],
        "cut": cut,
    }
    (step.out / SUMMARY_FILE).write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n")
    return Made(len(found), per_class)


def laid_out(n_classes: int, n_columns: int) -> Layout:
    """Choose the largest cells at which all classes fit on a page; with the smallest, cut what does not fit."""
    width, height = PAGE_PX[0] - 2 * MARGIN_PX, PAGE_PX[1] - HEAD_PX - FOOT_PX
    layout = Layout(CELLS_PX[-1], 1, 1, 1)
    for cell_px in CELLS_PX:
        columns = min(n_columns, (width - LABEL_PX) // (cell_px + GAP_PX))
        strip_px = LABEL_PX + columns * (cell_px + GAP_PX) + MARGIN_PX
        most_strips, most_rows = max(1, (width + MARGIN_PX) // strip_px), height // (cell_px + GAP_PX)
        strips = min(most_strips, -(-n_classes // most_rows))
        layout = Layout(cell_px, columns, min(most_rows, -(-n_classes // strips)), strips)
        if layout.classes >= n_classes and columns == n_columns:
            break
    return layout


def capacity(n_columns: int) -> Layout:
    """Return the fullest page with rows of ``n_columns`` images, or of as many as fit: nobody need make more."""
    return laid_out(PAGE_PX[0] * PAGE_PX[1], n_columns)


def thumbnail(image: Image.Image, cell_px: int) -> Image.Image:
    """Fit an image into a cell: a large one is reduced, a tiny one enlarged pixel by pixel, by a whole factor."""
    longest = max(image.size)
    if longest > cell_px:
        scale = cell_px / longest
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        return image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    factor = cell_px // longest
    return image.convert("RGB").resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def draw(
    layout: Layout,
    classes: Sequence[tuple[str, str]],
    counts: Sequence[int],
    wanted: int,
    thumbnails: Sequence[Sequence[Image.Image]],
    *,
    title: str,
    subtitle: str,
    cut: Mapping[str, int],
) -> Image.Image:
    """Put head, rows and foot on a page; ``cut`` says how many classes and columns were left out of it."""
    page = Image.new("RGB", layout.size_px, GROUND)
    pen = ImageDraw.Draw(page)
    room = layout.size_px[0] - 2 * MARGIN_PX
    pen.text((MARGIN_PX, 10), _elided(_plain(title), _font(20), room), fill=INK, font=_font(20))
    pen.text((MARGIN_PX, 34), _elided(subtitle, _font(13), room), fill=FAINT, font=_font(13))
    for i, ((class_id, name), count, row) in enumerate(zip(classes, counts, thumbnails, strict=True)):
        strip, line = divmod(i, layout.rows)
        x = MARGIN_PX + strip * (layout.strip_px + MARGIN_PX)
        y = HEAD_PX + line * (layout.cell_px + GAP_PX)
        _label(pen, (x, y), class_id, name, f"{count} of {wanted}" if count < wanted else "")
        for column in range(layout.columns):
            left, top = x + LABEL_PX + column * (layout.cell_px + GAP_PX), y
            pen.rectangle((left, top, left + layout.cell_px - 1, top + layout.cell_px - 1), fill=CELL)
            if column < len(row):
                image = row[column]
                corner = (left + (layout.cell_px - image.width) // 2, top + (layout.cell_px - image.height) // 2)
                page.paste(image, corner)
    note = _cut_text(cut)
    if note:
        foot = layout.size_px[1] - FOOT_PX + 4
        pen.text((MARGIN_PX, foot), _elided(note, _font(13), room), fill=WARNING, font=_font(13))
    return page


def _label(pen: ImageDraw.ImageDraw, at: tuple[int, int], class_id: str, name: str, shortfall: str) -> None:
    x, y = at
    room = LABEL_PX - 12
    for line in _wrapped(_plain(name) or class_id, _font(15), room, lines=2):
        pen.text((x, y), line, fill=INK, font=_font(15))
        y += 18
    if class_id != name:
        pen.text((x, y), _elided(class_id, _font(11), room), fill=FAINT, font=_font(11))
        y += 14
    if shortfall:
        pen.text((x, y), shortfall, fill=WARNING, font=_font(11))


def _wrapped(text: str, font: ImageFont.FreeTypeFont, room: int, *, lines: int) -> Iterator[str]:
    """Yield a text's lines, broken between words; what does not fit the last one is elided."""
    words = text.split()
    for _ in range(lines - 1):
        line = ""
        while words and font.getlength(f"{line} {words[0]}".strip()) <= room:
            line = f"{line} {words.pop(0)}".strip()
        if not line:
            break
        yield line
    if words:
        yield _elided(" ".join(words), font, room)


def _plain(text: str) -> str:
    """Return a text in ASCII, all that Pillow's own font can draw; empty when little of it would be left."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().strip()
    return ascii_text if 2 * len(ascii_text) >= len(text) else ""


def _elided(text: str, font: ImageFont.FreeTypeFont, room: int) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "...") > room:
        text = text[:-1]
    return text + "..."


def _font(size_px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px)
    assert isinstance(font, ImageFont.FreeTypeFont)  # with a size it always is
    return font


def _sizes_text(sizes: Counter[str]) -> str:
    """Say the images' size, or the span of several."""
    if len(sizes) == 1:
        return next(iter(sizes)).replace("x", " x ") + " px"
    sides = [tuple(map(int, size.split("x"))) for size in sizes]
    widths, heights = [w for w, _ in sides], [h for _, h in sides]
    return f"{min(widths)}-{max(widths)} x {min(heights)}-{max(heights)} px"


def _cut_text(cut: Mapping[str, int]) -> str:
    parts = [
        f"{n} more {_s(n, 'class', 'classes')}" if key == "classes" else f"{n} more of each class"
        for key, n in cut.items()
        if n
    ]
    return f"not shown: {', '.join(parts)}" if parts else ""


def _s(n: int, one: str, many: str) -> str:
    return one if n == 1 else many
