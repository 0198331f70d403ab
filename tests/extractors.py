"""An extractor that takes no time, and what it finds at once."""

import numpy as np

from keras_sagan.metrics import FrechetStatistics
from keras_sagan.metrics.features import Features


class Projection:
    """Features and logits of pictures by a matrix that a seed draws: see `extractor.py`.

    Attributes:
        calls: How many batches it was given.
    """

    name, size, checksum = "projection", 6, "0" * 64
    protocol = {"resize": "none"}

    def __init__(self, classes=10):
        self.class_names = [str(i) for i in range(classes)]
        self.calls = 0

    def extract(self, images):
        self.calls += 1
        cells = images.reshape(len(images), 4, images.shape[1] // 4, 4, -1, 3).mean(axis=(2, 4))
        matrix = np.random.RandomState(0).standard_normal((48, self.size + len(self.class_names)))
        found = (cells.reshape(len(images), 48) / 127.5 - 1) @ matrix
        found = found.astype(np.float32)
        return Features(found[:, : self.size], found[:, self.size :])


def statistics(features):
    found = FrechetStatistics()
    found.update(features)
    return found
