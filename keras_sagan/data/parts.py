"""A part of a source, such as what is kept out of training."""

import numpy as np


class Part:
    """Some of the images of a source, which has its own numbers.

    Args:
        source: A source of images, see `keras_sagan.data.pipeline`.
        indices: Those of the images, in the source.
    """

    def __init__(self, source, indices):
        self._source = source
        self._indices = np.asarray(indices)

    def __len__(self):
        return len(self._indices)

    def __getattr__(self, name):  # whatever else the source has, such as `image_size`
        return getattr(self._source, name)

    def read(self, indices):
        """As `read` of the source."""
        return self._source.read(self._indices[np.asarray(indices)])


def held_out(source, count, seed):
    """Returns two parts of a source: what to train on, and `count` images drawn by a seed."""
    order = np.random.default_rng(seed).permutation(len(source))
    return Part(source, np.sort(order[count:])), Part(source, np.sort(order[:count]))
