"""Sheets of pictures, and pictures of attention."""

import numpy as np
from PIL import Image

_GAP = 2  # pixels between pictures
_SMALLEST = 64  # smaller pictures are enlarged to at least this size


def sheet(images, columns):
    """Lays pictures out in rows.

    Args:
        images: (n, height, width, 3) uint8.
        columns: Pictures a row.

    Returns:
        A PIL image. Small pictures are enlarged by a whole factor, pixel by pixel.
    """
    images = np.asarray(images)
    factor = -(-_SMALLEST // images.shape[1])
    images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    count, height, width, _ = images.shape
    rows = -(-count // columns)
    page = np.full(
        (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 255, np.uint8
    )
    for i, image in enumerate(images):
        top, left = i // columns * (height + _GAP), i % columns * (width + _GAP)
        page[top : top + height, left : left + width] = image
    return Image.fromarray(page)


def attention_sheet(images, maps, query_size, key_size):
    """Shows where locations of pictures look.

    Each row is a picture, then for the middle of each quarter of it the attention map over the
    dimmed picture, brightest where that location looks most. A white box marks the location.

    Args:
        images: (n, height, width, 3) uint8.
        maps: (n, queries, keys) attention maps.
        query_size: (height, width) of the map of queries.
        key_size: (height, width) of the map of keys.

    Returns:
        A PIL image.
    """
    import matplotlib

    inferno = matplotlib.colormaps["inferno"]
    tiles = []
    size = images.shape[1:3]
    for image, attention in zip(images, np.asarray(maps), strict=True):
        tiles.append(image)
        for y, x in ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)):
            row, column = int(y * query_size[0]), int(x * query_size[1])
            weights = attention[row * query_size[1] + column].reshape(key_size)
            heat = Image.fromarray((weights / weights.max()).astype(np.float32))
            heat = np.asarray(heat.resize(size[::-1], Image.Resampling.BILINEAR))
            grey = image.mean(axis=-1, keepdims=True)
            tile = 0.35 * grey + 0.65 * 255 * inferno(heat)[..., :3]
            cell = (size[0] // query_size[0], size[1] // query_size[1])
            _draw_box(tile, row * cell[0], column * cell[1], cell)
            tiles.append(np.clip(tile, 0, 255).astype(np.uint8))
    return sheet(np.stack(tiles), columns=5)


def _draw_box(tile, top, left, cell):
    bottom, right = top + max(cell[0], 2) - 1, left + max(cell[1], 2) - 1
    tile[[top, bottom], left : right + 1] = 255
    tile[top : bottom + 1, [left, right]] = 255
