"""Which classes the generator is to draw in training."""

from keras import ops

from keras_sagan.sampling import latents


def label_sampler(fake_labels, generator):
    """Returns the function of (seeds, real labels) that gives the labels of fake images.

    Args:
        fake_labels: "real", "uniform", or such a function: see `GAN.compile`.
        generator: The generator, whose `num_classes` "uniform" needs.

    Raises:
        ValueError: Another name, or no classes to choose from.
    """
    if callable(fake_labels):
        return fake_labels
    if fake_labels == "real":
        return lambda seeds, real_labels: real_labels
    if fake_labels != "uniform":
        raise ValueError(
            f'fake_labels must be "real", "uniform" or a function; got {fake_labels!r}'
        )
    num_classes = getattr(generator, "num_classes", None)
    if num_classes is None:
        raise ValueError('fake_labels="uniform" needs a generator that tells its num_classes')
    return lambda seeds, real_labels: uniform_labels(seeds, num_classes)


def uniform_labels(seeds, num_classes):
    """Returns a label for each seed, from 0 to `num_classes - 1` alike: (batch,) int32."""
    draws = latents.uniform(seeds, 1)[:, 0]
    # Rounding may take the largest draw times a large number to that number.
    return ops.minimum(ops.cast(draws * num_classes, "int32"), num_classes - 1)
