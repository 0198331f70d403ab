"""The source of images that a config names."""

from pathlib import Path

from keras_sagan.data import ImageCache, ImageFolder, TFDSImages, paired_shapes
from keras_sagan.data.cache import folder_identity
from keras_sagan.errors import InputError


def make_source(config, skipped_log=None):
    """Returns the source of images that a config names."""
    data, size = config.data, config.model.image_size
    data.check_given()
    if data.folder is not None:
        source = ImageFolder(data.folder, size, skipped_log)
        if data.cache is None:
            return source
        identity = folder_identity(source.folder, source.paths)
        return ImageCache(source, data.cache, identity, Path(data.folder).resolve().name)
    if data.name == "paired_shapes":
        if size != paired_shapes.IMAGE_SIZE:
            raise InputError(
                f"model.image_size is {size}, but paired_shapes has {paired_shapes.IMAGE_SIZE}"
            )
        if data.cache is not None:
            raise InputError(
                f"data.cache is {data.cache!r}, but paired_shapes is in memory as it is: write null"
            )
        return paired_shapes.PairedShapes(config.train.seed)
    source = TFDSImages(data.name, size, data.split, skipped_log=skipped_log)
    if data.cache is None:
        return source
    return ImageCache(source, data.cache, source.identity, data.name)
