"""Shuffled batches of a source, from any step on.

A source has a length, `class_names` (None without classes), `image_size`, and
`read(indices) -> (images uint8, labels or None)`.
"""

import collections
import concurrent.futures
import functools
import itertools
import os
import time

import numpy as np

# Pillow decodes outside Python's lock, so batches are read at the same time.
_WORKERS = min(8, os.cpu_count() or 1)
_READ_AHEAD = 2  # batches, beyond those that are being read


def batches(source, batch_size, *, seed=0, first_step=0, flip=False):
    """Returns endless shuffled batches, for `fit`.

    What a step gets depends on the seed and the step alone, so a run that goes on at step n sees
    what it would have seen. Each pass over the source has its own order.

    Args:
        source: See above.
        batch_size: Images a batch.
        seed: Seed of order and flips.
        first_step: The step that the first batch belongs to.
        flip: Whether to mirror half of the images left to right.

    Returns:
        On TensorFlow a `tf.data.Dataset` of images (batch_size, image_size, image_size, 3) uint8,
        or of pairs of images and labels (batch_size,) int32. An error of the source is raised
        again as `tf.errors.OpError`, and stands in `dataset.errors`. Call `dataset.settle()` before
        its iterator is dropped: it waits until reading ahead has come to rest. (TensorFlow waits
        for reads with Python's lock held, which they need to end.)

        On other backends a generator of tuples of the same arrays, read ahead by threads, which
        raises an error of the source as it is.
    """
    import keras

    read = _reader(source, batch_size, seed, flip)
    if keras.config.backend() == "tensorflow":
        return _dataset(source, batch_size, read, first_step)
    return _generator(read, first_step)


def _reader(source, batch_size, seed, flip):
    """Returns a function from the step to its batch: (images,) or (images, labels)."""
    order = functools.lru_cache(maxsize=2)(
        lambda epoch: np.random.default_rng([seed, epoch]).permutation(len(source))
    )

    def read(step):
        epochs, offsets = np.divmod(step * batch_size + np.arange(batch_size), len(source))
        indices = np.array([order(int(e))[o] for e, o in zip(epochs, offsets, strict=True)])
        images, labels = source.read(indices)
        if flip:
            mirrored = np.random.default_rng([seed, int(step), 1]).random(batch_size) < 0.5
            images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
        return (images,) if labels is None else (images, labels)

    return read


def _dataset(source, batch_size, read, first_step):
    import tensorflow as tf

    errors, running, newest = [], set(), None

    def read_or_note(step):
        nonlocal newest
        newest = int(step)
        running.add(int(step))
        try:
            return read(step)
        except Exception as error:
            errors.append(error)
            raise
        finally:
            running.discard(int(step))

    def settle():
        quiet, before = 0, None
        while quiet < 10:  # half a second: a read that there is room for starts at once
            quiet = 0 if running or before != newest else quiet + 1
            before = newest
            time.sleep(0.05)

    specs = [tf.TensorSpec((batch_size, source.image_size, source.image_size, 3), tf.uint8)]
    if source.class_names is not None:
        specs.append(tf.TensorSpec((batch_size,), tf.int32))

    def load(step):
        # Not stateful: a batch depends on its step alone. TensorFlow would read one at a time in a
        # deterministic run, and say so with an error.
        types = [spec.dtype for spec in specs]
        values = tf.numpy_function(read_or_note, [step], types, stateful=False)
        values = [
            tf.ensure_shape(value, spec.shape) for value, spec in zip(values, specs, strict=True)
        ]
        return values[0] if len(values) == 1 else tuple(values)

    dataset = tf.data.Dataset.counter(first_step)
    dataset = dataset.map(load, num_parallel_calls=_WORKERS, deterministic=True)
    dataset = dataset.prefetch(_READ_AHEAD)
    dataset.errors, dataset.settle = errors, settle
    return dataset


def _generator(read, first_step):
    pool = concurrent.futures.ThreadPoolExecutor(_WORKERS)
    steps = itertools.count(first_step)
    pending = collections.deque()
    try:
        while True:
            while len(pending) < _WORKERS + _READ_AHEAD:
                pending.append(pool.submit(read, next(steps)))
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
