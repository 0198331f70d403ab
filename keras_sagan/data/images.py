"""From any picture to a square RGB one."""

import numpy as np
from PIL import Image, ImageOps


def to_rgb(image):
    """Returns a PIL image as RGB, whatever its mode.

    16-bit images keep their high byte, transparency is laid over black, and the camera's
    orientation tag is applied.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        # PIL opens 16-bit PNG and TIFF as "I;16" or "I", both with values to 65535.
        scale = 257.0 if image.mode.startswith("I") else 1.0
        image = Image.fromarray(np.clip(np.round(values / scale), 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(background, image)
    return image.convert("RGB")


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
