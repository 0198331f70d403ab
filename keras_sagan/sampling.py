"""From seeds to pictures."""

import numpy as np

from keras_sagan import latents


def sample(generator, seeds, labels=None, truncation=1.0, batch_size=64):
    """Draws pictures. The same (seed, label, truncation) gives the same picture.

    Args:
        generator: A generator, such as `keras_sagan.models.ResNetGenerator`.
        seeds: Integers, one a picture.
        labels: Integers, one a picture; None takes seed modulo the number of classes.
        truncation: Factor of the latents; 1 is as trained, smaller is safer and more alike.
        batch_size: Pictures computed at a time.

    Returns:
        (n, height, width, 3) uint8.

    Raises:
        ValueError: Labels that are missing, out of range, or not as many as the seeds.
    """
    inputs = generator_inputs(generator, seeds, labels, truncation)
    return to_uint8(generator.predict(inputs, batch_size=batch_size, verbose=0))


def generator_inputs(generator, seeds, labels=None, truncation=1.0):
    """Returns the inputs of a generator for seeds: see `sample`."""
    seeds = np.asarray(list(seeds), dtype=np.int64)
    latent_dim = generator.input["latent"].shape[1]
    latent = latents.numpy_normal(seeds, latent_dim) * np.float32(truncation)
    if "label" not in generator.input:
        if labels is not None:
            raise ValueError("this generator has no classes, so labels must be None")
        return {"latent": latent}
    num_classes = getattr(generator, "num_classes", None)
    if labels is None:
        if num_classes is None:
            raise ValueError("labels are needed: the generator does not tell its num_classes")
        labels = seeds % num_classes
    labels = np.asarray(labels, dtype=np.int32)
    if labels.shape != seeds.shape:
        raise ValueError(f"got {len(seeds)} seeds but labels of shape {labels.shape}")
    if num_classes is not None:
        wrong = labels[(labels < 0) | (labels >= num_classes)]
        if len(wrong):
            raise ValueError(f"labels must be from 0 to {num_classes - 1}, got {wrong[0]}")
    return {"latent": latent, "label": labels}


def to_uint8(images):
    """Returns images in [-1, 1] as uint8, rounded to the nearest level."""
    return np.clip(np.round((np.asarray(images) + 1.0) * 127.5), 0, 255).astype(np.uint8)
