"""Sheets of pictures with a title, and names of rows and columns."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SMALLEST = 64  # smaller pictures are enlarged to at least this size
_GAP = 4  # pixels between pictures
_MARGIN = 10
_TEXT, _LINE = 13, 18  # height of letters and of lines
_NARROWEST = 420  # of a page, so that a title does not stand in a column
_LONGEST = 140  # of the name of a row


def enlarged(images, smallest=_SMALLEST):
    """Returns pictures (..., height, width, 3), enlarged pixel by pixel to that width or more."""
    factor = -(-smallest // images.shape[-2])
    return images.repeat(factor, axis=-3).repeat(factor, axis=-2)


def titled_sheet(images, title, row_names=None, column_names=None, captions=None):
    """Lays pictures out in rows.

    Args:
        images: (rows, columns, height, width, 3) uint8. Small ones are enlarged.
        title: Text above them; it is broken where the page ends.
        row_names: Text to the left of each row, or None. Long ones are cut off.
        column_names: Text above each column, or None.
        captions: Rows of texts, one below each picture, or None.

    Returns:
        A PIL image.
    """
    font = _font()
    images = enlarged(np.asarray(images))
    rows, columns, height, width, _ = images.shape
    row_names = [_cut(name, font) for name in row_names or []]
    left = _MARGIN + (int(max(map(font.getlength, row_names))) + 8 if row_names else 0)
    step_x, step_y = width + _GAP, height + _GAP + _LINE * (captions is not None)
    page_width = max(left + columns * step_x - _GAP + _MARGIN, _NARROWEST)
    lines = _lines(title, font, page_width - 2 * _MARGIN)
    top = _MARGIN + len(lines) * _LINE + 4 + (_LINE if column_names else 0)
    page = Image.new("RGB", (page_width, top + rows * step_y - _GAP + _MARGIN), "white")
    draw = ImageDraw.Draw(page)

    def write(x, y, text, anchor):
        draw.text((x, y), text, fill="black", font=font, anchor=anchor)

    for i, line in enumerate(lines):
        write(_MARGIN, _MARGIN + i * _LINE, line, "la")
    for j, name in enumerate(column_names or []):
        write(left + j * step_x + width // 2, top - 4, name, "ms")
    for i, row in enumerate(images):
        if row_names:
            write(left - 8, top + i * step_y + height // 2, row_names[i], "rm")
        for j, image in enumerate(row):
            x, y = left + j * step_x, top + i * step_y
            page.paste(Image.fromarray(image), (x, y))
            if captions is not None:
                write(x + width // 2, y + height + _TEXT, captions[i][j], "ms")
    return page


def _font():
    import matplotlib  # whose letters are those of more languages than Pillow's own

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(path, _TEXT)


def _cut(name, font):
    if font.getlength(name) <= _LONGEST:
        return name
    while font.getlength(f"{name}…") > _LONGEST:
        name = name[:-1]
    return f"{name}…"


def _lines(text, font, width):
    """Breaks a text between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
