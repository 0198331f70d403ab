"""The real pictures that others are compared with, and what takes their features."""

from keras_sagan.data import ImageFolder, paired_shapes
from keras_sagan.data.cache import folder_identity
from keras_sagan.errors import InputError
from keras_sagan.metrics.features import extractor as extractor_of
from keras_sagan.running.sources import make_source


def source_of(data_folder, image_size, config=None):
    """Returns a source of real pictures, and its identity.

    Args:
        data_folder: A folder of images, or None for what a config trains on.
        image_size: Height and width of the pictures.
        config: A `Config`, or None.

    Returns:
        (source, dictionary), or (None, None) if there are none.
    """
    if data_folder is not None:
        source = ImageFolder(data_folder, image_size)
        return source, identity_of(source, config)
    if config is None or (config.data.folder is None and config.data.name is None):
        return None, None
    plain = config.model_copy(update={"data": config.data.model_copy(update={"cache": None})})
    source = make_source(plain)
    return source, identity_of(source, config)


def identity_of(source, config=None):
    """Returns what tells a source from any other, as a dictionary in JSON's types."""
    if isinstance(source, paired_shapes.PairedShapes):
        return {"name": "paired_shapes", "seed": config.train.seed}
    if hasattr(source, "identity"):  # a TFDS set
        return source.identity
    return folder_identity(source.folder, source.paths)  # or of a cache of it


def choose_extractor(name, source, identity):
    """Returns the extractor of a name, or the one that suits a source.

    That is `paired_shapes` for its drawings, `classifier` for data with classes, and else
    `inception`.

    Args:
        name: See `keras_sagan.metrics.features.extractor`, or None.
        source: A source of images, or None.
        identity: Of the source.

    Raises:
        InputError: There is no such extractor, or it needs data that there are not.
    """
    labelled = source is not None and source.class_names is not None
    if name is None:
        drawn = isinstance(source, paired_shapes.PairedShapes)
        name = "paired_shapes" if drawn else "classifier" if labelled else "inception"
    if name == "classifier":
        if not labelled:
            raise InputError("--extractor classifier needs data with classes: give --data DIR")
        return extractor_of(name, source, identity)
    return extractor_of(name)
