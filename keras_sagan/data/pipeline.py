"""Shuffled batches of a source, from any step on.

A source has a length, `class_names` (None without classes), `image_size`, and
`read(indices) -> (images uint8, labels or None)`.
"""

import functools
import os

import numpy as np


def batches(source, batch_size, *, seed=0, first_step=0, flip=False):
    """Returns an endless `tf.data.Dataset` of shuffled batches.

    What a step gets depends on the seed and the step alone, so a run that goes on at step n sees
    what it would have seen. Each pass over the source has its own order.

    Args:
        source: See above.
        batch_size: Images a batch.
        seed: Seed of order and flips.
        first_step: The step that the first batch belongs to.
        flip: Whether to mirror half of the images left to right.

    Returns:
        A dataset of images (batch_size, image_size, image_size, 3) uint8, or of pairs of images
        and labels (batch_size,) int32. An error of the source is raised again as
        `tf.errors.OpError`, and stands in `dataset.errors`.
    """
    import tensorflow as tf

    order = functools.lru_cache(maxsize=2)(
        lambda epoch: np.random.default_rng([seed, epoch]).permutation(len(source))
    )
    errors = []

    def read(step):
        epochs, offsets = np.divmod(step * batch_size + np.arange(batch_size), len(source))
        indices = np.array([order(int(e))[o] for e, o in zip(epochs, offsets, strict=True)])
        try:
            images, labels = source.read(indices)
        except Exception as error:
            errors.append(error)
            raise
        if flip:
            mirrored = np.random.default_rng([seed, int(step), 1]).random(batch_size) < 0.5
            images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
        return images if labels is None else (images, labels)

    shape = (batch_size, source.image_size, source.image_size, 3)

    def load(step):
        if source.class_names is None:
            return tf.ensure_shape(tf.numpy_function(read, [step], tf.uint8), shape)
        images, labels = tf.numpy_function(read, [step], (tf.uint8, tf.int32))
        return tf.ensure_shape(images, shape), tf.ensure_shape(labels, shape[:1])

    dataset = tf.data.Dataset.counter(first_step)
    # Pillow decodes outside Python's lock, so batches are read at the same time.
    workers = min(8, os.cpu_count() or 1)
    dataset = dataset.map(load, num_parallel_calls=workers, deterministic=True).prefetch(2)
    dataset.errors = errors
    return dataset
