import tracemalloc
import warnings

import numpy as np
import pytest

from keras_sagan.errors import InputError
from keras_sagan.metrics import InceptionScore, inception_score


def test_certain_samples_of_all_classes_score_their_number():
    labels = np.tile(np.arange(5), 100)
    score = inception_score(1e4 * np.eye(5)[labels], splits=1)
    assert score == pytest.approx((5, 0), rel=1e-12)  # finite, though exp(-1e4) is 0
    assert inception_score(np.zeros((500, 5))) == pytest.approx((1, 0), abs=1e-12)
    # Sorted by class they are shuffled before they are split; unshuffled, the score would be 1.
    assert inception_score(1e4 * np.eye(5)[np.sort(labels)]).value > 4.5


def test_batches_give_what_all_at_once_give():
    logits = np.random.RandomState(0).standard_normal((103, 7)).astype(np.float32)
    expected = inception_score(logits, splits=4, seed=3)
    stream = InceptionScore(103, splits=4, seed=3)
    for start in range(0, 103, 10):
        stream.update(logits[start : start + 10])
    assert stream.result() == pytest.approx(expected, rel=1e-12)
    assert inception_score(logits, splits=4, seed=4).value != expected.value


def test_memory_does_not_grow_with_the_samples():
    batch = np.random.RandomState(1).standard_normal((100, 100))
    tracemalloc.start()
    stream = InceptionScore(50_000)
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(500):
        stream.update(batch)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 20_000  # sums of 10 splits; the logits are 40 MB


def test_samples_must_be_as_many_as_were_told():
    stream = InceptionScore(20)
    stream.update(np.zeros((19, 2)))
    with pytest.raises(InputError, match="were to be 20 samples for the score; 19 came"):
        stream.result()
    with pytest.raises(InputError, match="were to be 20 samples for the score; 21 came"):
        stream.update(np.zeros((2, 2)))
    with pytest.raises(InputError, match="logits have size 3, those to compare with 2"):
        stream.update(np.zeros((1, 3)))
    with pytest.raises(InputError, match="over 10 splits must be at least 20; there are 19"):
        InceptionScore(19)


def test_splits_of_fewer_samples_than_classes_are_warned_of():
    with pytest.warns(UserWarning, match="needs at least 110 samples.*; there are 100"):
        inception_score(np.zeros((100, 11)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inception_score(np.zeros((110, 11)))
