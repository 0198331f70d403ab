"""What chosen locations look at: figure 5 of the paper."""

import keras
import numpy as np

from keras_sagan.errors import InputError
from keras_sagan.evaluating.titled_sheets import enlarged, titled_sheet
from keras_sagan.models import attention_layers, map_shapes, with_attention_maps
from keras_sagan.sampling.sampler import generator_inputs

_ROWS = 6
_SMALLEST = 128  # width of a picture: boxes must not hide it
_SMALLEST_BOX = 8
_COLORS = [(255, 60, 60), (70, 220, 90), (80, 150, 255), (255, 220, 50), (240, 90, 240)]


def check_locations(locations, image_size):
    """Raises InputError unless all locations, (y, x) in pixels, lie in the picture."""
    for y, x in locations or ():
        if not (0 <= y < image_size and 0 <= x < image_size):
            raise InputError(
                f"--locations {y},{x}: outside the picture, which is from 0,0 to "
                f"{image_size - 1},{image_size - 1}"
            )


def attention(subject, locations=None):
    """Draws a sheet for each attention layer: pictures, and where each location looks.

    Args:
        subject: A `Subject`.
        locations: (y, x) in pixels; None is the middle of each quarter.

    Yields:
        A name and a PIL image for each layer; a line to print if there is none.
    """
    size = subject.image_size
    layers = attention_layers(subject.generator)
    if not layers:
        yield None, "attention: skipped, as the generator has no attention"
        return
    if locations is None:
        quarters = (size // 4, 3 * size // 4)
        locations = [(y, x) for y in quarters for x in quarters]
    seeds, labels, names = subject.seed + np.arange(_ROWS), None, None
    if subject.class_names is not None:
        labels = np.resize(subject.classes(_ROWS), _ROWS)
        names = [subject.class_names[label] for label in labels]
    inputs = generator_inputs(subject.generator, seeds, labels)
    outputs = with_attention_maps(subject.generator).predict_on_batch(inputs)
    images = enlarged(subject.draw(inputs["latent"], labels), _SMALLEST)
    shapes = map_shapes(subject.generator)
    columns = ["", *(f"{y},{x}" for y, x in locations)]
    for layer in layers:
        gamma = float(keras.ops.convert_to_numpy(layer.gamma))
        queries, keys = shapes[layer.name]
        rows = [
            _row(image, maps, queries, keys, locations, size)
            for image, maps in zip(images, np.asarray(outputs[layer.name]), strict=True)
        ]
        title = (
            f"{subject.run.name}, {layer.name}: gamma {gamma:.3f}; where locations y,x of the "
            f"{queries[0]}x{queries[1]} map look, on {keys[0]}x{keys[1]}"
        )
        name = layer.name.removeprefix("attention")
        yield f"attention_{name}", titled_sheet(np.stack(rows), title, names, columns)


def _row(image, maps, queries, keys, locations, size):
    """A picture with its locations, and where each looks; image is enlarged, size as it was."""
    marked = image.copy()
    tiles = [marked]
    for i, (y, x) in enumerate(locations):
        row, column = y * queries[0] // size, x * queries[1] // size
        tile = _overlay(image, maps[row * queries[1] + column].reshape(keys))
        for each in (marked, tile):
            _draw_box(each, row, column, queries, _COLORS[i % len(_COLORS)])
        tiles.append(tile)
    return tiles


def _overlay(image, weights):
    """Shows weights over the dimmed picture, brightest where they are largest, cell by cell."""
    import matplotlib

    height, width, _ = image.shape
    rows = np.arange(height) * weights.shape[0] // height
    columns = np.arange(width) * weights.shape[1] // width
    heat = (weights / weights.max())[rows][:, columns]
    grey = image.mean(axis=-1, keepdims=True)
    shown = 0.4 * grey + 0.6 * 255 * matplotlib.colormaps["inferno"](heat)[..., :3]
    return shown.astype(np.uint8)


def _draw_box(tile, row, column, cells, color):
    """Draws a box around a cell, as large as can be seen where cells are small."""
    spans = []
    for index, count, size in zip((row, column), cells, tile.shape[:2], strict=True):
        middle, half = (index + 0.5) * size / count, max(size / count, _SMALLEST_BOX) / 2
        spans.append((max(round(middle - half), 0), min(round(middle + half), size)))
    (top, bottom), (left, right) = spans
    for inset in range(2):  # two pixels, which can be seen on any ground
        box = tile[top + inset : bottom - inset, left + inset : right - inset]
        box[[0, -1]] = color
        box[:, [0, -1]] = color
