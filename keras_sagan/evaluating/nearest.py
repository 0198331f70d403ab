"""The pictures of the data that samples are nearest to: does the generator know some by heart?"""

import numpy as np

from keras_sagan.data.paired_shapes import PairedShapes
from keras_sagan.evaluating.titled_sheets import titled_sheet
from keras_sagan.metrics.features import Features
from keras_sagan.metrics.neighbours import squared_distances
from keras_sagan.metrics.progress import Progress
from keras_sagan.running import real_pictures

_SAMPLES = 128  # of which the nearest are shown
_ROWS, _NEAREST = 10, 6
_BATCH = 250
_MOST = 100_000  # pictures of the data that are looked through
_CELLS = 8  # rows and columns that `Pixels` keeps of a picture


class Pixels:
    """Takes the pixels themselves for features, averaged to 8x8: an extractor without weights."""

    name = f"pixels averaged to {_CELLS}x{_CELLS}"

    def extract(self, images):
        """Returns the `Features` of uint8 images (n, height, width, 3)."""
        edges = [np.arange(_CELLS) * size // _CELLS for size in images.shape[1:3]]
        sums = np.add.reduceat(images.astype(np.float32), edges[0], axis=1)
        sums = np.add.reduceat(sums, edges[1], axis=2)
        counts = [
            np.diff([*edge, size]) for edge, size in zip(edges, images.shape[1:3], strict=True)
        ]
        means = sums / np.outer(*counts)[:, :, None] / 255
        return Features(means.reshape(len(images), -1), None)


def neighbours(subject, data, extractor):
    """Draws samples beside the pictures of the data that are nearest to them.

    Of 128 samples those that come nearest are shown. How near real pictures come to each other
    tells what to expect.

    Args:
        subject: A `Subject`.
        data: A folder of images, or None for what the run learns from.
        extractor: Name of an extractor; None is `paired_shapes` for its drawings, and else
            `Pixels`.

    Yields:
        A name and a PIL image, and then lines to print.

    Raises:
        InputError: Data or an extractor that cannot be had.
    """
    source, identity = real_pictures.source_of(data, subject.image_size, subject.run.config())
    if source is None:
        yield None, "neighbours: skipped, as the run names no data: give --data DIR"
        return
    if extractor is None and not isinstance(source, PairedShapes):
        extractor = Pixels()
    else:
        extractor = real_pictures.choose_extractor(extractor, source, identity)
    seeds, labels = subject.seed + np.arange(_SAMPLES), None
    if subject.class_names is not None:
        labels = seeds % len(subject.class_names)
    samples = subject.draw(subject.latents(seeds), labels)
    looked_at = _spread(len(source), _MOST)
    own = looked_at[_spread(len(looked_at), _SAMPLES)]  # real ones that look for others likewise
    queries = np.concatenate([samples, source.read(own)[0]])
    itself = np.concatenate([np.full(_SAMPLES, -1), own])
    distances, indices = _nearest(source, looked_at, extractor, queries, itself)
    order = distances[:_SAMPLES, 0].argsort()[:_ROWS]
    found = source.read(indices[order].ravel())[0].reshape(_ROWS, -1, *samples.shape[1:])
    yield (
        "neighbours",
        titled_sheet(
            np.concatenate([samples[order][:, None], found], axis=1),
            f"{subject.run.name}: the {_ROWS} of {_SAMPLES} samples that are nearest to the data, "
            f"and the nearest pictures with their distances, by {extractor.name}",
            [f"seed {seeds[i]}" for i in order],
            ["sample", "nearest", *(f"{i + 1}." for i in range(1, found.shape[1]))],
            [["", *(f"{value:.3g}" for value in distances[i])] for i in order],
        ),
    )
    nearest = np.median(distances[:_SAMPLES, 0]), np.median(distances[_SAMPLES:, 0])
    yield (
        None,
        f"neighbours: {len(looked_at)} pictures, by {extractor.name}; median distance to the "
        f"nearest one: {nearest[0]:.3g} of samples, {nearest[1]:.3g} of real pictures",
    )


def _spread(length, most):
    """Numbers below a length, all of them or evenly spread ones."""
    return np.linspace(0, length - 1, min(length, most)).round().astype(int)


def _nearest(source, looked_at, extractor, queries, itself):
    """Returns distances and indices of the nearest pictures, each (queries, 6) or less.

    Args:
        source: Of real pictures.
        looked_at: Their indices.
        extractor: Of features.
        queries: (queries, height, width, 3) uint8.
        itself: (queries,) index of the picture that a query is of, which is not its neighbour.
    """
    queries = extractor.extract(queries).features
    best = np.full((len(queries), 0), np.inf), np.zeros((len(queries), 0), int)
    progress = Progress("real pictures", len(looked_at))
    for start in range(0, len(looked_at), _BATCH):
        part = looked_at[start : start + _BATCH]
        features = extractor.extract(source.read(part)[0]).features
        ((_, _, squared),) = squared_distances(queries, features)
        squared[itself[:, None] == part] = np.inf
        distances = np.concatenate([best[0], squared], axis=1)
        indices = np.concatenate([best[1], np.tile(part, (len(queries), 1))], axis=1)
        order = distances.argsort(axis=1, kind="stable")[:, :_NEAREST]
        best = tuple(np.take_along_axis(each, order, axis=1) for each in (distances, indices))
        progress.show(start + len(part))
    return np.sqrt(best[0]), best[1]
