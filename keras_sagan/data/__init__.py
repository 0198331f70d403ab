"""Images to train on: TFDS sets, folders of images, their caches, the built-in `paired_shapes`."""

from keras_sagan.data import paired_shapes
from keras_sagan.data.cache import ImageCache
from keras_sagan.data.image_folder import ImageFolder
from keras_sagan.data.pipeline import batches
from keras_sagan.data.tfds_images import TFDSImages

__all__ = ["ImageCache", "ImageFolder", "TFDSImages", "batches", "paired_shapes"]
