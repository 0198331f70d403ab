"""From any picture to a square RGB one."""

import numpy as np
from PIL import (  # the formats, which threads would else register while others look for them
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

# Whatever the ending of a file says, nothing else is opened: some formats start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")

_ORIENTATION = 0x0112  # of EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # of TIFF
_WHITE_IS_ZERO, _SIGNED = 0, 2


def decode(file, size):
    """Opens a picture file of one of the `FORMATS`.

    Args:
        file: A path, or a binary file.
        size: Height and width of the result.

    Returns:
        (size, size, 3) uint8: the middle square as RGB, see `to_rgb` and `square`.
    """
    with Image.open(file, formats=FORMATS) as image:
        # JPEG can be decoded smaller; twice the size leaves the filter its due.
        image.draft("RGB", (2 * size, 2 * size))
        return square(to_rgb(image), size)


def to_rgb(image):
    """Returns a PIL image as RGB, whatever its mode.

    Greys of more than 8 bits come out as what they show. Of 16 bits that is the high byte. Files of
    32 bits and of floats do not say what is white: it is the first of 1 (of floats alone), 255,
    65535 and the most that there is, unless the picture goes beyond twice of it (up to there it
    may be overshoot). Transparency is laid over black, and the camera's orientation is applied.
    """
    image.load()
    # Before the rest, which gives images without EXIF; and after loading, which turns TIFFs.
    turn = _TURNS.get(_orientation(image))
    if image.mode.startswith("I") or image.mode == "F":
        image = _bytes_of_wide_grey(image)
    elif image.mode == "La":  # which Pillow converts to nothing else
        image = image.convert("LA")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(background, image)
    image = image.convert("RGB")
    return image if turn is None else image.transpose(turn)


def square(image, size):
    """Crops the middle square of a PIL image and resizes it, antialiased.

    Returns:
        (size, size, 3) uint8.
    """
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    if (image.width, image.height) != (size, size):
        # Cropping and resizing at once: the filter sees beyond no edge and rounds only once.
        box = (left, top, left + side, top + side)
        image = image.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    return np.asarray(image)


def _orientation(image):
    """The camera's orientation, or None: also of EXIF that is damaged, as in other viewers.

    (`ImageOps.exif_transpose` writes all of EXIF again, and fails where a field has an odd type.)
    """
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # a dozen kinds, of the parser of another format
        return None


def _bytes_of_wide_grey(image):
    """A grey picture of 16 or 32 bits, or floats, as one of 8 bits."""
    tags = getattr(image, "tag_v2", {_BITS_PER_SAMPLE: (32,), _SAMPLE_FORMAT: (_SIGNED,)})
    bits, signed = tags[_BITS_PER_SAMPLE][0], tags.get(_SAMPLE_FORMAT, (1,))[0] == _SIGNED
    values = np.asarray(image)
    if image.mode == "I" and not signed:
        values = values.view(np.uint32)
    highest = float(values.max(initial=0, where=np.isfinite(values)))
    if image.mode == "F":
        whites = (1, 255, 65535, highest)
    elif image.mode == "I":
        top = 2 ** (bits - signed) - 1
        whites = (*(white for white in (255, 65535) if white < top), top)
    else:  # 12 bits, too, are "I;16"
        whites = (2 ** min(bits, 16) - 1,)
    white = next((white for white in whites if highest <= 2 * white), whites[-1])
    grey = np.nan_to_num(values.astype(np.float32) * (255 / white))
    grey = np.clip(np.round(grey), 0, 255).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # which Pillow heeds up to 8 bits
        grey = 255 - grey
    return Image.fromarray(grey)
