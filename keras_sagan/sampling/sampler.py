"""From seeds to pictures."""

import math
import numbers
from collections.abc import Iterable

import keras
import numpy as np
from keras import ops

from keras_sagan.models import named_generator
from keras_sagan.sampling import latents
from keras_sagan.sampling.inference import InferenceModel


def sample(generator, seeds, labels=None, truncation=1.0, batch_size=64):
    """Draws pictures. The same (seed, label, truncation) gives the same picture.

    To draw more than once with a generator, or more pictures than memory holds: `Sampler`.

    Args:
        generator: A generator, such as `keras_sagan.models.ResNetGenerator`, or of any other kind
            that `GAN` takes.
        seeds: Integers, one a picture.
        labels: Integers, one a picture; None takes seed modulo the number of classes.
        truncation: Factor of the latents; 1 is as trained, smaller is safer and more alike.
        batch_size: Pictures computed at a time.

    Returns:
        (n, height, width, 3) uint8.

    Raises:
        ValueError: No seeds, or others than integers of 32 bits; a truncation that is not a finite
            number; labels that are missing, out of range, or not as many as the seeds.
    """
    return Sampler(generator).sample(seeds, labels, truncation, batch_size)


class Sampler:
    """Draws pictures with the weights that a generator has now, or had at the last `update`.

    It computes in float32, with spectral and batch norm folded into the kernels once, and keeps
    its graph from call to call.

    Args:
        generator: A generator, as of `sample`.

    Attributes:
        generator: That generator.

    Example:

    >>> sampler = keras_sagan.sampling.Sampler(generator)
    >>> for images in sampler.batches(range(50_000)):  # never more than 64 pictures in memory
    ...     fid.update(images)
    """

    def __init__(self, generator):
        self.generator = generator
        self._named = named_generator(generator)
        self._inference = InferenceModel(self._named)
        plain = self._inference.model
        self._model = keras.Model(plain.input, to_uint8(plain.output))
        # Keras would use XLA, which TensorFlow needs more time with on CPUs, and JAX cannot
        # do without.
        self._model.compile(optimizer=None, jit_compile=keras.backend.backend() == "jax")

    def update(self):
        """Takes over the weights that the generator has now."""
        self._inference.update()

    def sample(self, seeds, labels=None, truncation=1.0, batch_size=64):
        """Returns all pictures at once: see `keras_sagan.sampling.sample`."""
        return np.concatenate(list(self.batches(seeds, labels, truncation, batch_size)))

    def batches(self, seeds, labels=None, truncation=1.0, batch_size=64):
        """Draws pictures a batch at a time.

        Arguments and errors are those of `keras_sagan.sampling.sample`.

        Returns:
            An iterator of (batch_size, height, width, 3) uint8, in the order of the seeds; the
            last batch may be smaller. A picture is drawn when its batch is asked for.
        """
        seeds = _checked_seeds(seeds)
        if not len(seeds):
            raise ValueError("there are no seeds to draw pictures of")
        if not isinstance(truncation, numbers.Real) or not math.isfinite(truncation):
            raise ValueError(f"truncation must be a finite number, got {truncation}")
        labels = _checked_labels(self._named, seeds, labels)
        return self._batches(seeds, labels, truncation, batch_size)

    def _batches(self, seeds, labels, truncation, batch_size):
        # Every batch has one size, because another size is another graph to trace. Fewer
        # pictures than a batch get one of the next power of two.
        size = min(batch_size, 1 << (len(seeds) - 1).bit_length())
        for start in range(0, len(seeds), size):
            part = slice(start, start + size)
            inputs = generator_inputs(
                self._named, seeds[part], None if labels is None else labels[part], truncation
            )
            count = len(inputs["latent"])
            padded = {
                name: np.resize(values, (size, *values.shape[1:]))
                for name, values in inputs.items()
            }
            yield self._model.predict_on_batch(padded)[:count]


def generator_inputs(generator, seeds, labels=None, truncation=1.0):
    """Returns the inputs of a generator for seeds, by "latent" and "label": see `sample`."""
    generator = named_generator(generator)
    seeds = _checked_seeds(seeds)
    labels = _checked_labels(generator, seeds, labels)
    latent_dim = generator.input["latent"].shape[1]
    latent = latents.numpy_normal(seeds, latent_dim) * np.float32(truncation)
    return {"latent": latent} if labels is None else {"latent": latent, "label": labels}


def to_uint8(images):
    """Returns images in [-1, 1] as uint8, rounded to the nearest level."""
    return ops.cast(ops.clip(ops.round((images + 1.0) * 127.5), 0.0, 255.0), "uint8")


def _checked_seeds(seeds):
    if not isinstance(seeds, Iterable) or np.ndim(seeds := np.asarray(list(seeds))) != 1:
        raise ValueError(f"seeds must be a list of integers, such as range(16), got {seeds}")
    wrong = seeds[(seeds < -(2**31)) | (seeds >= 2**32) | (np.mod(seeds, 1) != 0)]
    if len(wrong):
        raise ValueError(f"seeds must be integers of 32 bits, got {wrong[0]}")
    return seeds.astype(np.int64)


def _checked_labels(generator, seeds, labels):
    if "label" not in generator.input:
        if labels is not None:
            raise ValueError("this generator has no classes, so labels must be None")
        return None
    num_classes = getattr(generator, "num_classes", None)
    if labels is None:
        if num_classes is None:
            raise ValueError("labels are needed: the generator does not tell its num_classes")
        labels = seeds % num_classes
    labels = np.asarray(labels)
    if len(fractions := labels[np.mod(labels, 1) != 0]):
        raise ValueError(f"labels must be whole numbers, got {fractions[0]}")
    labels = labels.astype(np.int32)
    if labels.shape != seeds.shape:
        raise ValueError(f"got {len(seeds)} seeds but labels of shape {labels.shape}")
    if num_classes is not None:
        wrong = labels[(labels < 0) | (labels >= num_classes)]
        if len(wrong):
            raise ValueError(f"labels must be from 0 to {num_classes - 1}, got {wrong[0]}")
    return labels
