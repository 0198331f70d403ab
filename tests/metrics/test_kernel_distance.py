import warnings

import numpy as np
import pytest

from keras_sagan.metrics import kernel_distance


def test_the_unbiased_estimate_by_hand():
    random = np.random.RandomState(0)
    features, reference = random.standard_normal((2, 5, 3))

    def kernel(x, y):
        return (x @ y / 3 + 1) ** 3

    pairs = [(i, j) for i in range(5) for j in range(5)]
    within = sum(
        kernel(rows[i], rows[j]) for rows in (features, reference) for i, j in pairs if i != j
    )
    across = sum(kernel(features[i], reference[j]) for i, j in pairs)
    expected = within / 20 - 2 * across / 25
    # All five are in the one subset, in whatever order.
    found = kernel_distance(features, reference, subsets=1, subset_size=5)
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.spread == 0


@pytest.mark.parametrize(
    ("samples", "shift", "subset_size", "ratio"),
    [(100, 0.5, 100, (0.85, 1.15)), (300, 0.5, 50, (0.8, 1.2)), (100, 0, 100, (1, 3))],
    ids=["all in each subset", "subsets of some", "of equal distributions it errs upwards"],
)
def test_the_standard_error_is_the_deviation_over_draws(samples, shift, subset_size, ratio):
    random = np.random.RandomState(1)
    found = []
    for seed in range(200):  # whose deviation is known to 5 %
        features, reference = random.standard_normal((2, samples, 4))
        subsets = 1 if subset_size == samples else 20
        found.append(kernel_distance(features + shift, reference, subsets, subset_size, seed))
    values = np.array([one.value for one in found])
    errors = np.array([one.standard_error for one in found])
    assert ratio[0] < np.sqrt((errors**2).mean()) / values.std() < ratio[1]
    if not shift:  # unbiased: four standard errors of the mean
        assert abs(values.mean()) < 4 * values.std() / np.sqrt(len(values))
        assert values.min() < 0


def test_too_few_samples_for_a_subset_are_warned_of():
    features = np.random.RandomState(2).standard_normal((30, 4))
    message = "subsets of 1000 needs at least 1000 samples on either side; there are 20"
    with pytest.warns(UserWarning, match=message):
        found = kernel_distance(features[:20], features)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found == kernel_distance(features[:20], features, subset_size=20)
