"""How fast training is."""

import time

import keras


class Throughput(keras.callbacks.Callback):
    """Adds `step`, `steps_per_second` and `images_per_second` to the logs of each epoch.

    The first step of a `fit`, in which the step is traced, is left out where there are others, and
    so is the time of validation.
    """

    def on_train_begin(self, logs=None):
        self._first_step = True

    def on_epoch_begin(self, epoch, logs=None):
        self._start()

    def on_train_batch_end(self, batch, logs=None):
        if self._first_step:
            self._first_step = False
            if self.params["steps"] != 1:
                self._start()

    def on_test_begin(self, logs=None):
        self._test_began = time.perf_counter()

    def on_test_end(self, logs=None):
        self._time += time.perf_counter() - self._test_began

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._time
        logs["step"] = self.model.step
        logs["steps_per_second"] = (logs["step"] - self._step) / seconds
        logs["images_per_second"] = (self.model.images_seen - self._images) / seconds

    def _start(self):
        self._time = time.perf_counter()
        self._step = self.model.step
        self._images = self.model.images_seen
