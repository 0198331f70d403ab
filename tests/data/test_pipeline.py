import itertools
import time

import keras
import numpy as np
import pytest

from keras_sagan.data import batches, pipeline

ON_TENSORFLOW = keras.config.backend() == "tensorflow"


class Numbers:
    """A source whose picture i is all i."""

    image_size = 4
    class_names = ["even", "odd"]

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def read(self, indices):
        images = np.zeros((len(indices), 4, 4, 3), np.uint8)
        images[:] = np.asarray(indices)[:, None, None, None]
        images[:, :, 0] += 100  # left is told from right
        return images, np.asarray(indices, np.int32) % 2


def take(dataset, count):
    return [tuple(map(np.asarray, batch)) for batch in itertools.islice(dataset, count)]


def numbers(dataset, count):
    return np.concatenate([images[:, 0, 1, 0] for images, _ in take(dataset, count)])


def test_shapes_and_labels():
    dataset = batches(Numbers(50), 8)
    if ON_TENSORFLOW:  # known before there is a batch
        assert [tuple(spec.shape) for spec in dataset.element_spec] == [(8, 4, 4, 3), (8,)]
    for images, labels in take(dataset, 3):
        assert images.shape == (8, 4, 4, 3) and images.dtype == np.uint8
        assert labels.shape == (8,) and labels.dtype == np.int32
        np.testing.assert_array_equal(labels, images[:, 0, 1, 0] % 2)


def test_the_order_is_that_of_the_seed():
    """The same on every backend."""
    order = np.random.default_rng([1, 0]).permutation(30)
    np.testing.assert_array_equal(numbers(batches(Numbers(30), 6, seed=1), 5), order)


def plain_batch(source, batch_size, seed, step, flip):
    """What a step gets, picture by picture: written for its definition, not for speed."""
    images, labels = [], []
    for place in range(step * batch_size, (step + 1) * batch_size):
        epoch, offset = divmod(place, len(source))
        index = np.random.default_rng([seed, epoch]).permutation(len(source))[offset]
        (image,), (label,) = source.read([index])
        images.append(image)
        labels.append(label)
    if flip:
        mirrored = np.random.default_rng([seed, step, 1]).random(batch_size) < 0.5
        images = [i[:, ::-1] if m else i for i, m in zip(images, mirrored, strict=True)]
    return np.array(images), np.array(labels)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("length", "batch_size"), [(50, 16), (3, 8), (200, 200)])
def test_order_and_bits_are_those_of_the_definition(length, batch_size, flip):
    source = Numbers(length)
    found = take(batches(source, batch_size, seed=5, flip=flip, first_step=2), 6)
    for step, batch in enumerate(found, start=2):
        for part, expected in zip(
            batch, plain_batch(source, batch_size, 5, step, flip), strict=True
        ):
            np.testing.assert_array_equal(part, expected)


def test_large_pictures_are_mirrored_whole():
    class Large(Numbers):
        image_size = 256  # more than a piece of those that are mirrored at a time

        def read(self, indices):
            rng = np.random.default_rng(7)
            images = rng.integers(0, 256, (self.length, 256, 256, 3), dtype=np.uint8)
            return images[np.asarray(indices)], np.asarray(indices, np.int32)

    source = Large(6)
    ((images, _),) = take(batches(source, 6, seed=1, flip=True), 1)
    np.testing.assert_array_equal(images, plain_batch(source, 6, 1, 0, True)[0])


def test_what_a_source_keeps_is_not_mirrored():
    class Views(Numbers):
        class_names = None
        kept = np.arange(10 * 4 * 4 * 3, dtype=np.uint8).reshape(10, 4, 4, 3)

        def read(self, indices):
            return self.kept[:4], None

    before = Views.kept.copy()
    for _ in zip(range(5), batches(Views(10), 4, flip=True), strict=False):
        pass
    np.testing.assert_array_equal(Views.kept, before)


def test_a_batch_takes_less_time_than_where_takes_to_mirror_it():
    """`np.where` takes twenty times as long as copying, and more than all the rest of a batch."""
    images = np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), dtype=np.uint8)

    class Memory(Numbers):
        image_size, class_names = 64, None

        def read(self, indices):
            return images[indices], None

    which = (np.arange(64) < 32)[:, None, None, None]

    def seconds(task, times=20):
        best = np.inf
        for _ in range(5):  # the least disturbed one
            start = time.thread_time()
            for i in range(times):
                task(i)
            best = min(best, time.thread_time() - start)
        return best

    read = pipeline._reader(Memory(64), 64, 0, flip=True)
    assert seconds(read) < 0.7 * seconds(lambda _: np.where(which, images[:, :, ::-1], images))


def test_each_pass_shows_every_picture_once_in_an_order_of_its_own():
    seen = numbers(batches(Numbers(30), 6, seed=1), 10)
    assert sorted(seen[:30]) == sorted(seen[30:]) == list(range(30))
    assert list(seen[:30]) != list(seen[30:])
    assert list(seen[:30]) != list(range(30))


def test_batches_run_on_over_the_end_of_a_pass():
    seen = numbers(batches(Numbers(10), 4, seed=1), 5)
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))


def test_a_step_gets_the_same_wherever_the_dataset_starts():
    whole = take(batches(Numbers(20), 6, seed=2, flip=True), 9)
    rest = take(batches(Numbers(20), 6, seed=2, flip=True, first_step=5), 4)
    for (a, la), (b, lb) in zip(whole[5:], rest, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(la, lb)
    other = take(batches(Numbers(20), 6, seed=3, flip=True), 9)
    assert any(np.any(a != b) for (a, _), (b, _) in zip(whole, other, strict=True))


def test_flip_mirrors_half_of_the_pictures():
    images = np.concatenate([i for i, _ in take(batches(Numbers(50), 50, flip=True), 20)])
    flipped = images[:, 0, 3, 0] == images[:, 0, 1, 0] + 100
    assert 0.45 < flipped.mean() < 0.55  # 1000 pictures: three standard errors
    plain = np.concatenate([i for i, _ in take(batches(Numbers(50), 50), 2)])
    assert np.all(plain[:, 0, 0] == plain[:, 0, 1] + 100)


def test_sources_without_classes_give_images_alone():
    source = Numbers(10)
    source.class_names = None
    source.read = lambda indices: (np.zeros((len(indices), 4, 4, 3), np.uint8), None)
    batch = next(iter(batches(source, 5)))
    images = batch if ON_TENSORFLOW else batch[0]
    assert images.shape == (5, 4, 4, 3)


def test_batches_are_read_ahead_and_kept_in_order():
    source = Numbers(64)
    read, plain = [], source.read

    def slow_at_first(indices):
        read.append(len(indices))
        time.sleep(0.2 if len(read) == 1 else 0)
        return plain(indices)

    source.read = slow_at_first
    dataset = iter(batches(source, 4))
    order = np.random.default_rng([0, 0]).permutation(64)
    np.testing.assert_array_equal(numbers(dataset, 1), order[:4])
    deadline = time.monotonic() + 10
    while len(read) < 3 and time.monotonic() < deadline:  # none of which was asked for
        time.sleep(0.01)
    assert len(read) >= 3
    np.testing.assert_array_equal(numbers(dataset, 3), order[4:16])


def test_errors_of_the_source_are_kept():
    source = Numbers(10)

    def fail(indices):
        raise KeyError("broken")

    source.read = fail
    dataset = batches(source, 5)
    if ON_TENSORFLOW:
        import tensorflow as tf

        with pytest.raises(tf.errors.OpError):
            next(iter(dataset))
        assert isinstance(dataset.errors[0], KeyError)
    else:
        with pytest.raises(KeyError, match="broken"):
            next(dataset)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="TensorFlow alone reads so")
def test_a_settled_dataset_reads_nothing_more():
    reads = []

    class Slow:
        class_names, image_size = None, 4

        def __len__(self):
            return 100

        def read(self, indices):
            reads.append("begun")
            time.sleep(0.2)
            reads.append("ended")
            return np.zeros((len(indices), 4, 4, 3), np.uint8), None

    dataset = batches(Slow(), 2)
    iterator = iter(dataset)
    next(iterator)
    dataset.settle()
    before = list(reads)
    assert before.count("begun") == before.count("ended") > 1  # it has read ahead
    time.sleep(0.5)
    assert reads == before
    del iterator
