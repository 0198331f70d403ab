"""Distances, precision and recall, density and coverage: by hand, and in blocks."""

import tracemalloc

import numpy as np
import pytest

from keras_sagan.metrics import density_coverage, neighbours, precision_recall


def test_on_a_line_by_hand():
    reference = np.array([[0.0], [1], [3], [7]])  # with k = 1 their balls reach 1, 1, 2 and 4
    features = np.array([[0.5], [1.5], [20], [30]])  # theirs 1, 1, 10 and 10
    assert precision_recall(features, reference, k=1) == (2 / 4, 2 / 4)
    # 0.5 lies in the balls of 0 and 1, 1.5 in those of 1 and 3; 7 has its nearest sample at 5.5.
    assert density_coverage(features, reference, k=1) == (4 / 4, 3 / 4)


def test_on_the_edge_precision_counts_and_density_does_not():
    reference = np.array([[0.0], [2.0]])
    features = np.array([[-2.0], [4.0]])
    assert precision_recall(features, reference, k=1).precision == 1
    assert density_coverage(features, reference, k=1) == (0, 0)


def test_equal_features_are_at_distance_zero():
    # A generator that gives one picture: rounding must not make a ball of its copies.
    row = 100 * np.random.RandomState(0).standard_normal((1, 500)).astype(np.float32)
    assert (neighbours.squared_radii(row.repeat(20, axis=0), 3) == 0).all()
    assert precision_recall(row.repeat(9, axis=0), row.repeat(7, axis=0)) == (1, 1)


@pytest.mark.parametrize("rows", [1, 7, 50, 64])
def test_blocks_of_any_size_give_all_distances(monkeypatch, rows):
    monkeypatch.setattr(neighbours, "_ROWS", rows)
    random = np.random.RandomState(1)
    features, reference = random.standard_normal((60, 5)), random.standard_normal((43, 5))
    expected = ((features[:, None] - reference) ** 2).sum(axis=2)
    found = np.full(expected.shape, np.nan)
    for left, right, squared in neighbours.squared_distances(features, reference):
        found[left, right] = squared
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    within = ((features[:, None] - features) ** 2).sum(axis=2)
    for k in (1, 3, 5):
        radii = np.sort(within, axis=1)[:, k]  # the first is that to itself
        np.testing.assert_allclose(neighbours.squared_radii(features, k), radii, rtol=1e-10)


@pytest.mark.parametrize("metric", [precision_recall, density_coverage])
def test_all_distances_are_never_there_at_once(metric):
    features, reference = np.random.RandomState(2).standard_normal((2, 5000, 4)).astype(np.float32)
    tracemalloc.start()
    metric(features, reference)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6  # all are 200 MB
