import numpy as np
import pytest
import tensorflow as tf

from keras_sagan.data import batches


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
    return [(images.numpy(), labels.numpy()) for images, labels in dataset.take(count)]


def numbers(dataset, count):
    return np.concatenate([images[:, 0, 1, 0] for images, _ in take(dataset, count)])


def test_shapes_and_labels():
    dataset = batches(Numbers(50), 8)
    assert dataset.element_spec[0] == tf.TensorSpec((8, 4, 4, 3), tf.uint8)
    assert dataset.element_spec[1] == tf.TensorSpec((8,), tf.int32)
    for images, labels in take(dataset, 3):
        np.testing.assert_array_equal(labels, images[:, 0, 1, 0] % 2)


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
    assert next(iter(batches(source, 5))).shape == (5, 4, 4, 3)


def test_errors_of_the_source_are_kept():
    source = Numbers(10)

    def fail(indices):
        raise KeyError("broken")

    source.read = fail
    dataset = batches(source, 5)
    with pytest.raises(tf.errors.OpError):
        next(iter(dataset))
    assert isinstance(dataset.errors[0], KeyError)
