"""Pictures whose two halves must agree: long-range consistency that can be measured exactly.

Each 32x32 picture holds two shapes in opposite corners, alike in class, colour and size; where
each stands within its corner, which diagonal they stand on and the grey of the background are
free. A generator gets a picture right only if what it draws in one corner follows from what it
draws in the other, 16 pixels away.
"""

import functools

import numpy as np

IMAGE_SIZE = 32
CLASS_NAMES = (
    "disc",
    "ring",
    "square",
    "frame",
    "triangle",
    "diamond",
    "plus",
    "cross",
    "hourglass",
    "bars",
)
COLORS = np.array(
    [
        (230, 50, 50),
        (60, 200, 70),
        (70, 110, 240),
        (240, 220, 60),
        (220, 80, 220),
        (70, 220, 220),
    ],
    np.float32,
)
RADII = (4.5, 5.5, 6.5)  # pixels, of the square that a shape fills
BACKGROUND = (20, 60)  # grey levels from and to
_CELL = IMAGE_SIZE // 2
_JITTER = 1  # pixels that a shape may stand off the middle of its corner, each way
# A shape counts as recognised if the template that is closest to it explains at least this share
# of the variance of its corner; real ones reach 1 up to rounding.
_RECOGNISED = 0.7
# The other two corners count as plain if they have at most this share of the shapes' variance.
_PLAIN = 0.15


def _inside(name, x, y):
    """Whether points, in units of the radius, lie inside a shape."""
    ax, ay = np.abs(x), np.abs(y)
    box, r = np.maximum(ax, ay), np.hypot(x, y)
    return {
        "disc": r <= 1,
        "ring": (r <= 1) & (r >= 0.55),
        "square": box <= 0.9,
        "frame": (box <= 0.9) & (box >= 0.5),
        "triangle": (y <= 0.9) & (ax <= (y + 1.0) / 1.9),
        "diamond": ax + ay <= 1,
        "plus": (np.minimum(ax, ay) <= 0.3) & (box <= 1),
        "cross": (np.abs(ax - ay) <= 0.4) & (box <= 0.9),
        "hourglass": (ax <= ay) & (box <= 0.9),
        "bars": (box <= 0.9) & (ay >= 0.35),
    }[name]


@functools.cache
def _masks():
    """Coverage of each (class, size, shift y, shift x) in a corner: (10, 3, 3, 3, 16, 16)."""
    supersampling = 8
    pixels = (np.arange(_CELL * supersampling) + 0.5) / supersampling - _CELL / 2
    shifts = range(-_JITTER, _JITTER + 1)
    masks = np.empty((len(CLASS_NAMES), len(RADII), len(shifts), len(shifts), _CELL, _CELL))
    for c, name in enumerate(CLASS_NAMES):
        for s, radius in enumerate(RADII):
            for i, dy in enumerate(shifts):
                for j, dx in enumerate(shifts):
                    x, y = np.meshgrid((pixels - dx) / radius, (pixels - dy) / radius)
                    fine = _inside(name, x, y).astype(np.float32)
                    masks[c, s, i, j] = fine.reshape(
                        _CELL, supersampling, _CELL, supersampling
                    ).mean(axis=(1, 3))
    return masks.astype(np.float32)


def draw(rng, count):
    """Draws pictures.

    Args:
        rng: `numpy.random.Generator`.
        count: Number of pictures.

    Returns:
        Images (count, 32, 32, 3) uint8, and labels (count,) int32 into `CLASS_NAMES`.
    """
    labels = rng.integers(len(CLASS_NAMES), size=count)
    sizes = rng.integers(len(RADII), size=count)
    colors = COLORS[rng.integers(len(COLORS), size=count)]
    shifts = rng.integers(2 * _JITTER + 1, size=(count, 2, 2))
    diagonal = rng.integers(2, size=count)
    background = rng.uniform(*BACKGROUND, size=(count, 1, 1, 1)).astype(np.float32)
    images = np.broadcast_to(background, (count, IMAGE_SIZE, IMAGE_SIZE, 3)).copy()
    cells = _cells(images)
    for half in range(2):
        mask = _masks()[labels, sizes, shifts[:, half, 0], shifts[:, half, 1]][..., None]
        column = diagonal if half == 0 else 1 - diagonal
        corner = background + mask * (colors[:, None, None, :] - background)
        cells[np.arange(count), half, column] = corner
    return np.round(images).astype(np.uint8), labels.astype(np.int32)


class PairedShapes:
    """The data set in memory, a source of `keras_sagan.data.batches`.

    Args:
        seed: Seed of the pictures.
        length: Number of pictures.
    """

    image_size = IMAGE_SIZE
    class_names = list(CLASS_NAMES)

    def __init__(self, seed=0, length=50_000):
        self.images, self.labels = draw(np.random.default_rng(seed), length)
        self.class_counts = np.bincount(self.labels, minlength=len(CLASS_NAMES)).tolist()

    def __len__(self):
        return len(self.images)

    def read(self, indices):
        """Returns images (batch, 32, 32, 3) uint8 and labels (batch,) int32."""
        return self.images[indices], self.labels[indices]


def recognise(images):
    """Recognises the two shapes of pictures.

    They are looked for in the corners of the diagonal that holds the most contrast. Each of the
    two is compared with every template (class, size, shift) under the colour and background that
    fit it best; its colour is the nearest of the palette.

    Args:
        images: (batch, 32, 32, 3) uint8.

    Returns:
        Integers (batch, 2, 3): class, size and colour of the upper and of the lower shape. They
        are -1 where no template explains enough of the corner, and in pictures whose other two
        corners are not plain.
    """
    cells = _cells(np.asarray(images, np.float32))
    energy = np.square(cells - cells.mean(axis=(3, 4), keepdims=True)).sum(axis=(3, 4, 5))
    diagonals = np.stack(
        [energy[:, 0, 0] + energy[:, 1, 1], energy[:, 0, 1] + energy[:, 1, 0]], axis=-1
    )
    diagonal = diagonals.argmax(axis=-1)
    plain = diagonals.min(axis=-1) <= _PLAIN * diagonals.max(axis=-1)
    rows = np.arange(len(cells))
    upper, lower = cells[rows, 0, diagonal], cells[rows, 1, 1 - diagonal]
    found = np.stack([_recognise_corners(upper), _recognise_corners(lower)], axis=1)
    return np.where(plain[:, None, None], found, -1)


def _recognise_corners(corners):
    """Class, size and colour in corners (batch, 16, 16, 3), or -1: (batch, 3)."""
    masks = _masks()
    flat = masks.reshape(-1, _CELL * _CELL)
    templates = flat - flat.mean(axis=1, keepdims=True)
    corners = corners.reshape(len(corners), -1, 3)
    mean = corners.mean(axis=1)
    centred = corners - mean[:, None]
    # Least squares for every template: corner = background + mask * contrast.
    norms = np.square(templates).sum(axis=1)
    contrast = np.einsum("tp,bpc->btc", templates, centred, optimize=True) / norms[:, None]
    explained = np.square(contrast).sum(axis=-1) * norms
    best = explained.argmax(axis=-1)
    rows = np.arange(len(corners))
    share = explained[rows, best] / np.maximum(np.square(centred).sum(axis=(1, 2)), 1e-6)
    shape_color = mean + contrast[rows, best] * (1 - flat.mean(axis=1)[best])[:, None]
    color = np.square(shape_color[:, None] - COLORS).sum(axis=-1).argmin(axis=-1)
    class_, size = np.unravel_index(best, masks.shape[:4])[:2]
    found = np.stack([class_, size, color], axis=-1)
    return np.where((share >= _RECOGNISED)[:, None], found, -1)


def consistency(images):
    """Share of pictures whose two shapes are recognised and agree in class, colour and size.

    Args:
        images: (batch, 32, 32, 3) uint8.

    Returns:
        A float from 0 to 1. Real pictures reach 1.
    """
    found = recognise(images)
    return float(np.mean((found[:, 0] == found[:, 1]).all(axis=-1) & (found >= 0).all(axis=(1, 2))))


def _cells(images):
    """View of the four corners: (batch, row, column, 16, 16, 3)."""
    batch = len(images)
    return images.reshape(batch, 2, _CELL, 2, _CELL, 3).transpose(0, 1, 3, 2, 4, 5)
