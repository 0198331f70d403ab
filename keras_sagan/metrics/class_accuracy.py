"""How often a conditional sample is taken for its class by a classifier.

With a classifier trained on real pictures this is the GAN-test of Shmelkov et al. 2018, "How good
is my GAN?", section 3.
"""

import numpy as np

from keras_sagan.metrics.samples import checked, checked_labels, enough


def class_accuracy(logits, labels):
    """Returns the share of samples whose largest logit is that of their class.

    Args:
        logits: (samples, classes).
        labels: (samples,), whole numbers from 0.

    Raises:
        InputError: Logits that are not finite, labels out of range, or fewer than two samples.
    """
    accuracy = ClassAccuracy()
    accuracy.update(logits, labels)
    return accuracy.result()


class ClassAccuracy:
    """Class accuracy of logits that come in batches, in constant memory."""

    def __init__(self):
        self._classes = None
        self._samples = self._right = 0

    def update(self, logits, labels):
        """Adds a batch of logits, (samples, classes), and of labels.

        Raises:
            InputError: Logits of other classes than before or not finite, or labels out of range.
        """
        logits = checked(logits, self._classes, "logits")
        self._classes = logits.shape[1]
        labels = checked_labels(labels, len(logits), self._classes)
        self._right += np.count_nonzero(logits.argmax(axis=1) == labels)
        self._samples += len(logits)

    def result(self):
        """Returns the share, from 0 to 1. Raises InputError for fewer than two samples."""
        enough(self._samples)
        return self._right / self._samples
