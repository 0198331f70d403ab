import tracemalloc
import warnings

import numpy as np
import pytest

from keras_sagan.errors import InputError
from keras_sagan.metrics import (
    FrechetDistance,
    FrechetStatistics,
    KnownStatistics,
    frechet_distance,
)


def statistics(features, batch=None):
    found = FrechetStatistics()
    for start in range(0, len(features), batch or len(features)):
        found.update(features[start : start + (batch or len(features))])
    return found


def test_normal_distributions_by_hand():
    # Covariances that commute: |m|^2 and the squared differences of standard deviations.
    turn = np.linalg.qr(np.random.RandomState(0).standard_normal((4, 4)))[0]
    first = KnownStatistics(np.zeros(4), turn @ np.diag([1.0, 4, 9, 16]) @ turn.T)
    second = KnownStatistics(np.array([3.0, 4, 0, 0]), turn @ np.diag([9.0, 1, 4, 16]) @ turn.T)
    expected = 25 + (1 - 3) ** 2 + (2 - 1) ** 2 + (3 - 2) ** 2
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("batch", [1, 7, 64, 300])
def test_batches_give_the_mean_and_the_covariance(batch):
    random = np.random.RandomState(1)
    # Far from zero: float32 holds these to 6e-5, so a sum in float32 has no digits of a variance.
    features = (1000 + random.standard_normal((300, 5))).astype(np.float32)
    found = statistics(features, batch)
    exact = features.astype(np.float64)
    np.testing.assert_allclose(found.mean, exact.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(exact, rowvar=False), rtol=0, atol=1e-11)
    assert (found.count, found.size) == (300, 5)


def test_memory_does_not_grow_with_the_samples():
    batch = np.random.RandomState(2).standard_normal((100, 200)).astype(np.float32)
    peaks = []
    for batches in (2, 100):
        tracemalloc.start()
        found = FrechetStatistics()
        for _ in range(batches):
            found.update(batch)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]


@pytest.mark.filterwarnings("ignore:the Frechet distance of")
@pytest.mark.parametrize("counts", [(20, 400), (400, 20), (20, 30)])
def test_covariances_without_full_rank_are_real_and_exact(counts):
    random = np.random.RandomState(3)
    first, second = (random.standard_normal((n, 50)) for n in counts)
    distance = frechet_distance(statistics(first), statistics(second))
    # With X the centred samples over sqrt(n - 1), Tr (C1 C2)^(1/2) is the nuclear norm of X1 X2'.
    roots = [(x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in (first, second)]
    step = first.mean(axis=0) - second.mean(axis=0)
    norm = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    expected = step @ step + sum((x**2).sum() for x in roots) - 2 * norm
    # Eigenvalues that are zero come out as 1e-15 of the largest, and their roots as 3e-8.
    assert distance == pytest.approx(expected, rel=1e-7)
    assert isinstance(distance, float)


def test_too_few_samples_are_warned_of():
    random = np.random.RandomState(4)
    few, many = statistics(random.standard_normal((8, 8))), statistics(np.eye(9, 8))
    message = "of 8 features needs at least 9 samples on either side .*; there are 8"
    for pair in ((few, many), (many, few)):
        with pytest.warns(UserWarning, match=message) as caught:
            frechet_distance(*pair)
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frechet_distance(many, many)
        frechet_distance(many, KnownStatistics(np.zeros(8), np.eye(8)))


def test_streamed():
    random = np.random.RandomState(5)
    reference, features = random.standard_normal((2, 60, 4))
    stream = FrechetDistance(statistics(reference))
    for start in range(0, 60, 20):
        stream.update(features[start : start + 20])
    expected = frechet_distance(statistics(features), statistics(reference))
    assert stream.result() == pytest.approx(expected, rel=1e-12)


def test_known_statistics_that_cannot_be():
    for mean, covariance, count, message in (
        (np.zeros(3), np.eye(2), None, "have size 2, those to compare with 3"),
        (np.zeros(3), np.ones((2, 3)), None, "has 2 rows; the mean has size 3"),
        (np.zeros(2), np.array([[1, 1], [0, 1.0]]), None, "not symmetric"),
        (np.zeros(2), -np.eye(2), None, "negative variances"),
        (np.array([0, np.nan]), np.eye(2), None, "the mean of 1 of 1 samples are not finite"),
        (np.zeros(2), np.eye(2), 1, "at least 2; there are 1"),
    ):
        with pytest.raises(InputError, match=message):
            KnownStatistics(mean, covariance, count)
