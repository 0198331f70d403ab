import subprocess
import sys

import numpy as np
import pytest
from programs import REPOSITORY

from keras_sagan import metrics
from keras_sagan.errors import InputError

GOOD = np.random.RandomState(0).standard_normal((40, 6))


def frechet(features, reference):
    both = [metrics.FrechetStatistics() for _ in range(2)]
    both[0].update(features)
    both[1].update(reference)
    return metrics.frechet_distance(*both)


def streamed(kind):
    def metric(features, reference):
        stream = kind(reference)
        stream.update(features)
        return stream.result()

    return metric


def known(features, reference):
    stream = metrics.FrechetDistance(metrics.KnownStatistics(np.zeros(6), np.eye(6)))
    stream.update(features)
    return stream.result()


METRICS = {
    "frechet": frechet,
    "kernel": lambda *pair: metrics.kernel_distance(*pair, subset_size=2),
    "precision": metrics.precision_recall,
    "density": metrics.density_coverage,
    "precision streamed": streamed(metrics.PrecisionRecall),
    "density streamed": streamed(metrics.DensityCoverage),
    "kernel streamed": streamed(metrics.KernelDistance),
    "known": known,
}


@pytest.mark.filterwarnings("ignore:the kernel distance over subsets")
@pytest.mark.parametrize("metric", METRICS)
def test_bad_features_are_one_clear_line(metric):
    metric = METRICS[metric]
    metric(GOOD, GOOD)
    broken = GOOD.copy()
    broken[7, 3] = np.nan
    broken[9, 0] = np.inf
    wrong = {
        "the features of 2 of 40 samples are not finite, the first those of sample 7": broken,
        "sizes? (5|6)": GOOD[:, :5],
        "must be at least [24]; there are 1$": GOOD[:1],
        "there are 0$": GOOD[:0],
        r"numbers of shape \(samples, size\); they are float64 of shape \(6,\)": GOOD[0],
        "they are <U": GOOD.astype(str),
    }
    for message, features in wrong.items():
        with pytest.raises(InputError, match=message) as caught:
            metric(features, GOOD)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metric", [name for name in METRICS if name != "known"])
def test_a_bad_reference_is_too(metric):
    for reference, message in (
        (GOOD[:1], "at least"),
        (np.full_like(GOOD, np.inf), "40 of 40 samples are not finite"),
    ):
        with pytest.raises(InputError, match=message):
            METRICS[metric](GOOD, reference)


def test_bad_labels_are_one_clear_line():
    logits = np.eye(3)
    for labels, message in (
        ([0, 1], r"shape \(3,\)"),
        ([0, 1, 3], "label 3 is not one of 3 classes, 0 to 2"),
        ([0, 1, -1], "label -1"),
        ([0.0, 1.0, 2.0], "float64"),
    ):
        with pytest.raises(InputError, match=message):
            metrics.class_accuracy(logits, labels)


@pytest.mark.parametrize(
    "kind", [metrics.KernelDistance, metrics.PrecisionRecall, metrics.DensityCoverage]
)
def test_batches_give_what_all_at_once_give(kind):
    random = np.random.RandomState(1)
    features, reference = random.standard_normal((2, 90, 5)).astype(np.float32)
    how = {"subset_size": 30} if kind is metrics.KernelDistance else {}
    function = {
        metrics.KernelDistance: metrics.kernel_distance,
        metrics.PrecisionRecall: metrics.precision_recall,
        metrics.DensityCoverage: metrics.density_coverage,
    }[kind]
    stream = kind(reference, **how)
    batch = np.empty((30, 5), np.float32)
    for start in (0, 30):
        batch[:] = features[start : start + 30]  # the same array each time: it must be copied
        stream.update(batch)
    assert stream.result() == function(features[:60], reference, **how)
    stream.update(features[60:])  # and on after a result
    assert stream.result() == function(features, reference, **how)


def test_float64_batches_are_kept_as_they_are():
    stream = metrics.KernelDistance(GOOD, subsets=1, subset_size=40)
    stream.update(GOOD[:20].astype(np.float32))
    stream.update(GOOD[20:])
    expected = np.concatenate([GOOD[:20].astype(np.float32).astype(np.float64), GOOD[20:]])
    assert stream.result() == metrics.kernel_distance(expected, GOOD, 1, 40)


def test_metrics_load_without_keras_in_a_moment():
    code = (
        "import sys, time; start = time.process_time(); import numpy; middle = time.process_time()"
    )
    code += "; import keras_sagan.metrics; print(time.process_time() - middle)"
    code += "; print({'keras', 'tensorflow', 'scipy', 'PIL'} & set(sys.modules))"
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    seconds, others = process.stdout.splitlines()
    assert float(seconds) < 0.5 and others == "set()"
