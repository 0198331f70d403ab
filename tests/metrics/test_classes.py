"""Figures by class: the Frechet distance within each, and class accuracy."""

import numpy as np
import pytest

from keras_sagan.errors import InputError
from keras_sagan.metrics import (
    ClassAccuracy,
    ClassStatistics,
    FrechetStatistics,
    IntraClassDistance,
    class_accuracy,
    frechet_distance,
    intra_class_distance,
)


def drawn(seed):
    random = np.random.RandomState(seed)
    labels = random.randint(0, 3, 120)
    return random.standard_normal((120, 4)) + labels[:, None], labels


def test_the_mean_over_the_classes_of_their_distances():
    (features, labels), (reference, real_labels) = drawn(0), drawn(1)
    expected = []
    for label in range(3):
        pair = FrechetStatistics(), FrechetStatistics()
        pair[0].update(features[labels == label])
        pair[1].update(reference[real_labels == label])
        expected.append(frechet_distance(*pair))
    real = ClassStatistics(3)
    real.update(reference, real_labels)
    stream = IntraClassDistance(real.classes)
    for start in range(0, 120, 25):
        stream.update(features[start : start + 25], labels[start : start + 25])
    found = stream.result()
    assert found.by_class == pytest.approx(expected, rel=1e-9)
    assert found.value == pytest.approx(np.mean(expected), rel=1e-9)


def test_labels_make_the_difference():
    features, labels = drawn(2)
    right, wrong = ClassStatistics(3), ClassStatistics(3)
    right.update(features, labels)
    wrong.update(features, (labels + 1) % 3)
    assert intra_class_distance(right.classes, right.classes).value == pytest.approx(0, abs=1e-6)
    assert intra_class_distance(wrong.classes, right.classes).value > 1


def test_what_a_class_lacks_is_said():
    features, labels = drawn(3)
    full, gap, few = ClassStatistics(3), ClassStatistics(3), ClassStatistics(3)
    full.update(features, labels)
    gap.update(features[labels != 1], labels[labels != 1])
    with pytest.raises(InputError, match="class 1: the samples must be at least 2; there are 0"):
        intra_class_distance(gap.classes, full.classes)
    with pytest.raises(InputError, match="samples have 3 classes, the reference has 2"):
        intra_class_distance(full.classes, full.classes[:2])
    keep = (labels != 2) | (np.cumsum(labels == 2) <= 3)
    few.update(features[keep], labels[keep])
    with pytest.warns(UserWarning, match="needs at least 5 samples .*; class 2 has 3") as caught:
        intra_class_distance(few.classes, full.classes)
    assert len(caught) == 1 and caught[0].filename == __file__


def test_class_accuracy_is_the_share_taken_for_their_class():
    logits = np.array([[3.0, 1, 0], [0, 1, 2], [5, 6, 4], [0, 0, 1]])
    assert class_accuracy(logits, [0, 1, 1, 2]) == 3 / 4
    stream = ClassAccuracy()
    stream.update(logits[:1], [0])
    with pytest.raises(InputError, match="at least 2; there are 1"):
        stream.result()
    stream.update(logits[1:], [1, 1, 2])
    assert stream.result() == 3 / 4
