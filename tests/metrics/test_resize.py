"""The resize of TensorFlow 1, against torch-fidelity's and against the rule itself."""

import numpy as np
import pytest
from record_inception import FIXTURE, SIZES, picture, sampled

from keras_sagan.metrics.features.resize import resize_like_tensorflow1


def resized(images, size=299):
    return np.asarray(resize_like_tensorflow1(np.asarray(images, "float32"), size))


@pytest.mark.parametrize("size", SIZES)
def test_gives_what_torch_fidelity_gives(size):
    with np.load(FIXTURE) as record:
        expected = record[f"{size}/resized"]
    # On the network's scale, (pixels - 128) / 128; rounding alone would be 3e-5 on that of pixels.
    np.testing.assert_allclose(
        sampled(resized(picture(size))[0], "resized") / 128, expected / 128, atol=1e-5
    )


def test_samples_at_corners_of_pixels_and_repeats_the_last():
    row = np.array([0, 10, 30], "float32").reshape(1, 1, 3, 1)
    wide = resized(np.repeat(row, 3, axis=1), 6)[0, 0, :, 0]
    np.testing.assert_array_equal(wide, [0, 5, 10, 20, 30, 30])


def test_height_and_width_are_resized_each_by_its_own():
    images = np.random.default_rng(0).uniform(0, 255, (2, 5, 9, 3))
    result = resized(images, 7)
    assert result.shape == (2, 7, 7, 3)
    # Row 3 lies at 3 * 5 / 7, column 2 at 2 * 9 / 7.
    (y, down), (x, right) = (2, 1 / 7), (2, 4 / 7)
    rows = images[:, y] + (images[:, y + 1] - images[:, y]) * down
    expected = rows[:, x] + (rows[:, x + 1] - rows[:, x]) * right
    np.testing.assert_allclose(result[:, 3, 2], expected, atol=1e-4)  # float32 of up to 255


def test_shrinking_does_not_smooth():
    images = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(resized(images, 4), images[:, ::2, ::2])


def test_the_same_size_is_the_same_picture():
    images = picture(64)
    np.testing.assert_array_equal(resized(images, 64), images)
