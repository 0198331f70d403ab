"""Inception Score, from the logits of a classifier.

Salimans et al. 2016, "Improved Techniques for Training GANs", section 4: exp E KL(p(y|x) || p(y)),
for each of ten splits of the samples by itself. The samples are shuffled before they are split, as
torch-fidelity shuffles them: `numpy.random.RandomState(seed).permutation(samples)`.
"""

import warnings
from typing import NamedTuple

import numpy as np

from keras_sagan.errors import InputError
from keras_sagan.metrics.samples import checked, enough


class SplitScore(NamedTuple):
    """Mean of the score over the splits, and its standard deviation over them (ddof 0)."""

    value: float
    deviation: float


def inception_score(logits, splits=10, seed=2020):
    """Returns the `SplitScore` of logits, (samples, classes).

    Args:
        logits: Of the classifier, before the softmax.
        splits: How many the samples are split into.
        seed: Of the order in which they are.

    Raises:
        InputError: Logits that are not finite, or fewer than two a split.
    """
    logits = checked(logits, name="logits")
    score = InceptionScore(len(logits), splits, seed)
    for start in range(0, len(logits), _ROWS):
        score.update(logits[start : start + _ROWS])
    return score.result()


_ROWS = 1000  # what is in float64 at a time


class InceptionScore:
    """Inception Score of logits that come in batches.

    It keeps sums in float64, and for each sample the number of its split.

    Args:
        samples: How many there will be; the splits depend on it.
        splits, seed: As for `inception_score`.

    Raises:
        InputError: Fewer than two samples a split.
    """

    def __init__(self, samples, splits=10, seed=2020):
        enough(samples, 2 * splits, f"the samples of a score over {splits} splits")
        edges = np.arange(splits + 1) * samples // splits
        self._split = np.empty(samples, np.int32)
        order = np.random.RandomState(seed).permutation(samples)
        self._split[order] = np.repeat(np.arange(splits, dtype=np.int32), np.diff(edges))
        self._counts = np.diff(edges)
        self._seen = 0
        self._classes = None

    def update(self, logits):
        """Adds a batch of logits, (samples, classes).

        Raises:
            InputError: Other classes than before, values not finite, or more samples than there
                were to be.
        """
        logits = checked(logits, self._classes, "logits").astype(np.float64)
        if self._classes is None:
            self._classes = logits.shape[1]
            self._sums = np.zeros((len(self._counts), self._classes))
            self._negentropy = np.zeros(len(self._counts))
        if self._seen + len(logits) > len(self._split):
            raise InputError(
                f"there were to be {len(self._split)} samples for the score; "
                f"{self._seen + len(logits)} came"
            )
        split = self._split[self._seen : self._seen + len(logits)]
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        shares = np.exp(logits)
        np.add.at(self._sums, split, shares)
        np.add.at(self._negentropy, split, (shares * logits).sum(axis=1))
        self._seen += len(logits)

    def result(self):
        """Returns the `SplitScore`, and warns where splits have fewer samples than classes.

        Raises:
            InputError: Not all samples came.
        """
        if self._seen < len(self._split):
            raise InputError(
                f"there were to be {len(self._split)} samples for the score; {self._seen} came"
            )
        splits = len(self._counts)
        if self._counts.min() < self._classes:
            warnings.warn(
                f"the Inception Score over {self._classes} classes in {splits} splits needs at "
                f"least {self._classes * splits} samples, as it cannot exceed those of a split; "
                f"there are {self._seen}",
                stacklevel=2,
            )
        marginal = self._sums / self._counts[:, None]
        # What was drawn from no sample at all adds nothing: 0 log 0 is 0.
        logs = np.log(np.where(marginal > 0, marginal, 1))
        divergence = self._negentropy / self._counts - (marginal * logs).sum(axis=1)
        scores = np.exp(divergence)
        return SplitScore(float(scores.mean()), float(scores.std()))
