"""Figures of the averaged generator while it trains."""

import sys
import time

import keras

from keras_sagan.metrics.evaluation import METRICS, available, evaluate, pictures_of

_MOST = 0.1  # share of the time that evaluation may take without a word
# Figures of which larger is better; of all others smaller is.
_RISING = {figure for metric in METRICS.values() if metric.rises for figure in metric.figures}


class QualityMonitor(keras.callbacks.Callback):
    """Evaluates a `GAN` every so many steps, and adds the figures to the logs of its epochs.

    An epoch without an evaluation has none, as one without validation has no `val_loss`.

    Args:
        extractor: What takes features, see `keras_sagan.metrics.features.extractor`.
        reference: Real pictures' features, see `keras_sagan.metrics.features.reference`.
        every: Steps between evaluations.
        metrics: Names in `keras_sagan.metrics.evaluation.METRICS`. By the first figure of the
            first one, checkpoints are compared.
        samples: Pictures that are drawn, always of the same seeds.
        save_best: Called when a figure is the best so far, with a dictionary of "figure", its
            "value", and by what it was judged; or None.
        best: The last of these dictionaries of earlier parts of the run, or None. Figures that
            were judged otherwise are not compared with it.
    """

    def __init__(
        self, extractor, reference, every, metrics=("fid",), samples=2000, save_best=None, best=None
    ):
        super().__init__()
        self._extractor = extractor
        self._reference = reference
        self._every = every
        self._metrics = list(metrics)
        self._samples = samples
        self._save_best = save_best
        self._judged = {
            "figure": figures_of(metrics)[0],
            "samples": samples,
            "extractor": extractor.checksum,
        }
        is_comparable = best is not None and self._judged.items() <= best.items()
        self._best = best["value"] if is_comparable else None
        self._figures = {}
        self._evaluating = 0.0
        self._has_warned = False

    def on_train_begin(self, logs=None):
        # What cannot be had is said before hours of training.
        available(self._pictures(), self._extractor, self._reference, self._metrics)
        self._step = self.model.step
        self._start = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        if self._step % self._every == 0:
            self._evaluate()

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs.update(self._figures)
        self._figures = {}  # of one evaluation there is one row

    def _evaluate(self):
        start = time.monotonic()
        result = evaluate(self._pictures(), self._extractor, self._reference, self._metrics)
        for name, figure in result["metrics"].items():
            self._figures[name] = figure["value"] if isinstance(figure, dict) else figure
        name = self._judged["figure"]
        figure = self._figures[name]
        better = self._best is None or (
            figure > self._best if name in _RISING else figure < self._best
        )
        if better:
            self._best = figure
            if self._save_best is not None:
                self._save_best({**self._judged, "value": figure})
        now = time.monotonic()
        self._evaluating += now - start
        share = self._evaluating / (now - self._start)
        if share > _MOST and not self._has_warned:
            self._has_warned = True
            print(
                f"\nevaluation takes {share:.0%} of the time: do it less often, or of less",
                file=sys.stderr,
            )

    def _pictures(self):
        classes = self.model.generator.num_classes if self.model.conditional else None
        return pictures_of(self._draw, classes, self._samples)

    def _draw(self, seeds, labels, truncation):
        return self.model.sample_batches(seeds, labels, truncation)


def figures_of(metrics):
    """Returns the names of the figures that metrics give."""
    return [figure for name in metrics for figure in METRICS[name].figures]
