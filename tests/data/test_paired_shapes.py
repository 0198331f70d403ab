import numpy as np
import pytest

from keras_sagan.data import paired_shapes


@pytest.fixture(scope="module")
def drawn():
    return paired_shapes.draw(np.random.default_rng(3), 2000)


def test_pictures_follow_from_the_seed(drawn):
    again = paired_shapes.draw(np.random.default_rng(3), 2000)
    np.testing.assert_array_equal(drawn[0], again[0])
    np.testing.assert_array_equal(drawn[1], again[1])
    other, _ = paired_shapes.draw(np.random.default_rng(4), 2000)
    assert np.any(other != drawn[0])
    assert drawn[0].shape == (2000, 32, 32, 3) and drawn[0].dtype == np.uint8
    assert sorted(set(drawn[1].tolist())) == list(range(10))


def test_real_pictures_are_fully_consistent_and_recognised(drawn):
    images, labels = drawn
    assert paired_shapes.consistency(images) == 1
    found = paired_shapes.recognise(images)
    np.testing.assert_array_equal(found[:, 0, 0], labels)
    assert len({tuple(row) for row in found[:, 0].tolist()}) == 10 * 3 * 6


def test_halves_of_different_pictures_do_not_agree(drawn):
    images, _ = drawn
    mixed = images.copy()
    mixed[:, 16:] = np.roll(images, 1, axis=0)[:, 16:]
    # Both halves agree by chance in one of 10 classes x 3 sizes x 6 colours.
    assert paired_shapes.consistency(mixed) < 0.02


@pytest.mark.parametrize("change", ["class", "size", "colour"])
def test_a_difference_in_one_of_the_three_is_seen(drawn, change):
    images, _ = drawn
    found = paired_shapes.recognise(images)[:, 0]
    column = ("class", "size", "colour").index(change)
    rest = [i for i in range(3) if i != column]
    upper_left = images[:, :16, :16].reshape(2000, -1).std(axis=1) > 5
    pairs = 0
    for a in range(200):
        for b in range(a):
            same = (found[a, rest] == found[b, rest]).all() and upper_left[a] == upper_left[b]
            if same and found[a, column] != found[b, column]:
                mixed = images[a].copy()
                mixed[16:] = images[b][16:]
                assert paired_shapes.consistency(mixed[None]) == 0
                pairs += 1
    assert pairs > 20


def test_what_shows_no_two_shapes_does_not_count(drawn):
    images, _ = drawn
    rng = np.random.default_rng(0)
    assert paired_shapes.consistency(rng.integers(0, 256, (500, 32, 32, 3)).astype("uint8")) == 0
    assert paired_shapes.consistency(np.full((4, 32, 32, 3), 90, "uint8")) == 0
    blurred = (images.astype("int") + np.roll(images, 6, 1) + np.roll(images, 6, 2)) // 3
    assert paired_shapes.consistency(blurred.astype("uint8")) < 0.05
    # Both diagonals at once: agreeing shapes, but four of them.
    four = np.maximum(images, images[:, :, ::-1])
    assert paired_shapes.consistency(four) == 0


def test_a_little_noise_is_forgiven(drawn):
    noisy = drawn[0] + np.random.default_rng(0).normal(0, 8, drawn[0].shape)
    assert paired_shapes.consistency(np.clip(noisy, 0, 255).astype("uint8")) > 0.98


def test_source():
    source = paired_shapes.PairedShapes(seed=1, length=20)
    assert len(source) == 20 and len(source.class_names) == 10
    images, labels = source.read(np.array([3, 3, 5]))
    np.testing.assert_array_equal(images[0], images[1])
    assert labels.shape == (3,)
