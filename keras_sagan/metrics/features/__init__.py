"""What metrics compare in place of pixels: features of pictures, by networks with a name."""

from keras_sagan.metrics.features.batches import Features
from keras_sagan.metrics.features.extractor import extractor

__all__ = ["Features", "extractor"]
