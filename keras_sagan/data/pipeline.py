"""Shuffled batches of a source, from any step on.

A source has a length, `class_names` (None without classes), `image_size`, and
`read(indices) -> (images uint8, labels or None)`, which gathers what it gives in new arrays.
"""

import collections
import concurrent.futures
import functools
import itertools
import os
import threading
import time

import numpy as np

# Threads that read at the same time, one for each core that this process may use. Pillow decodes
# outside Python's lock: the larger the pictures, the more cores are of use.
WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_READ_AHEAD = 2  # batches, beyond those that are being read
# Bytes of images that are mirrored at a time: larger arrays would be got from the system anew for
# each batch, which takes several times as long as the mirroring.
_PIECE = 100_000


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
    once = threading.Lock()  # all threads come to a new pass at once

    @functools.lru_cache(maxsize=2)
    def permutation(epoch):
        return np.random.default_rng([seed, epoch]).permutation(len(source))

    def order(start, count):
        parts = []
        while count:
            epoch, offset = divmod(start, len(source))
            with once:
                parts.append(permutation(epoch)[offset : offset + count])
            start, count = start + len(parts[-1]), count - len(parts[-1])
        return np.concatenate(parts)

    def read(step):
        step = int(step)
        images, labels = source.read(order(step * batch_size, batch_size))
        if flip:
            rng = np.random.default_rng([seed, step, 1])
            images = _mirror(images, rng.random(batch_size) < 0.5)
        return (images,) if labels is None else (images, labels)

    return read


def _mirror(images, which):
    """Returns images in which some are mirrored left to right."""
    if images.base is not None or not images.flags.writeable:
        images = images.copy()  # a view of what the source keeps
    which = np.flatnonzero(which)
    piece = max(1, _PIECE // images[0].nbytes)
    for some in (which[i : i + piece] for i in range(0, len(which), piece)):
        given = images[some]
        mirrored = np.empty_like(given)
        for channel in range(images.shape[-1]):  # NumPy is slow with runs of three bytes
            mirrored[..., channel] = given[:, :, ::-1, channel]
        images[some] = mirrored
    return images


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
    dataset = dataset.map(load, num_parallel_calls=WORKERS, deterministic=True)
    dataset = dataset.prefetch(_READ_AHEAD)
    dataset.errors, dataset.settle = errors, settle
    return dataset


def _generator(read, first_step):
    pool = concurrent.futures.ThreadPoolExecutor(WORKERS)
    steps = itertools.count(first_step)
    pending = collections.deque()
    try:
        while True:
            while len(pending) < WORKERS + _READ_AHEAD:
                pending.append(pool.submit(read, next(steps)))
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
