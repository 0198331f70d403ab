"""Feature extractors by name, and what they share.

An extractor has

- `name`: as it was asked for, without paths,
- `size`: the length of its features,
- `checksum`: SHA-256 of its weights,
- `protocol`: a dictionary of what else the figures depend on, such as the resize,
- `extract(images)`: uint8 (n, height, width, 3) to `Features`, a batch at a time.
"""

from keras_sagan.errors import InputError


def extractor(name, *data):
    """Returns the extractor of a name.

    Args:
        name: "inception" (weights are downloaded once), "inception:PATH" (weights of a file),
            "keras:NAME" (a network of `keras.applications`), the path of a `.keras` file,
            "paired_shapes" and "cifar10_jpeg" (small classifiers that come with the package), or
            "classifier" (one that is trained on the data, and kept).
        data: For "classifier" alone: what `small_classifier.classifier` takes.

    Raises:
        InputError: There is no such extractor, or its weights cannot be had.
    """
    kind, _, argument = str(name).partition(":")
    if kind == "inception":
        from keras_sagan.metrics.features.inception import InceptionExtractor

        return InceptionExtractor(argument or None)
    if kind == "keras" or str(name).endswith(".keras"):
        from keras_sagan.metrics.features.keras_model import KerasExtractor

        return KerasExtractor(name)
    if name in ("paired_shapes", "cifar10_jpeg", "classifier"):
        from keras_sagan.metrics.features import small_classifier

        return getattr(small_classifier, name)(*data)
    raise InputError(
        f"there is no extractor {name!r}: choose inception, inception:PATH, keras:NAME, the path "
        "of a .keras file, paired_shapes, cifar10_jpeg or classifier"
    )
