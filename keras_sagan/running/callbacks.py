"""Callbacks of training."""

import csv
import io
import math
import os
import socket
import sys
import time
from pathlib import Path

import keras
import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from keras_sagan.files.system import STOP_SIGNALS
from keras_sagan.files.whole_files import append, replacing, write_rows
from keras_sagan.models import map_shapes, with_attention_maps
from keras_sagan.running.quality_monitor import QualityMonitor
from keras_sagan.running.stop_request import StopRequest
from keras_sagan.sampling import sheets
from keras_sagan.sampling.sampler import generator_inputs

__all__ = [
    "Every",
    "HistoryFiles",
    "NotFiniteError",
    "Progress",
    "QualityMonitor",
    "SampleSheets",
    "StopOnNonFiniteLoss",
    "StopOnSignal",
    "Watchers",
]


class HistoryFiles(keras.callbacks.Callback):
    """Writes the logs of each epoch, by training step, to history.csv and for TensorBoard.

    (`keras.callbacks.CSVLogger` adds empty columns for a validation that a GAN does not have,
    and `TensorBoard` counts in epochs, which here are only intervals of reporting. TensorBoard's
    own writer of files writes in a thread, which a full disk ends.)

    Args:
        csv_file: The CSV file. Rows that it has are kept, and so are its columns.
        log_dir: Folder of the TensorBoard events.
    """

    def __init__(self, csv_file, log_dir):
        super().__init__()
        self._csv_file = Path(csv_file)
        self._columns = []
        # TensorBoard looks for this name; the rest tells the files of a run apart.
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._events_file = Path(log_dir) / name
        self._events_file.parent.mkdir(parents=True, exist_ok=True)
        self._add_events([Event(wall_time=time.time(), file_version="brain.Event:2")])

    def on_epoch_end(self, epoch, logs=None):
        names = [name for name in sorted(logs) if name != "step"]
        values = {name: float(logs[name]) for name in names}
        logs = {"step": logs["step"], **values}
        if not logs.keys() <= {*self._columns}:
            self._columns = self._with_columns_of(logs)
        rows = io.StringIO(newline="")
        csv.DictWriter(rows, self._columns).writerow(logs)
        append(self._csv_file, rows.getvalue().encode())
        self._add_events(
            Event(wall_time=time.time(), step=logs["step"], summary=scalar_pb(name, value))
            for name, value in logs.items()
        )

    def _with_columns_of(self, logs):
        """Gives the file a column for each of the logs; returns all that it has."""
        columns, rows = [], []
        if self._csv_file.exists():
            with self._csv_file.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                columns, rows = list(reader.fieldnames or ()), list(reader)
        missing = [name for name in logs if name not in columns]
        if missing:
            columns += missing
            write_rows(self._csv_file, columns, rows)
        return columns

    def _add_events(self, events):
        records = io.BytesIO()
        writer = RecordWriter(records)
        for event in events:
            writer.write(event.SerializeToString())
        append(self._events_file, records.getvalue())


class NotFiniteError(ArithmeticError):
    """A loss or a weight became infinite or not a number."""

    def __init__(self, name, step):
        super().__init__(
            f"{name} is not finite by step {step}: lower the learning rates, or use float32"
        )


class Watchers(keras.callbacks.CallbackList):
    """Hands the logs of a step on as they are.

    `keras.callbacks.CallbackList` makes numbers of them at every step, and so waits for the device
    each time, which then waits for the next step.
    """

    def on_train_batch_end(self, batch, logs=None):
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs=logs)


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Raises NotFiniteError soon after a loss stops being finite.

    The logs are means over the epoch, which stay so: it is enough to look now and then, and at the
    end of each epoch.

    Args:
        every: Steps between looks. To look is to wait for the device.
    """

    def __init__(self, every=50):
        super().__init__()
        self._every = every

    def on_train_batch_end(self, batch, logs=None):
        if (batch + 1) % self._every == 0:
            self._look(logs)

    def on_epoch_end(self, epoch, logs=None):
        self._look(logs)

    def _look(self, logs):
        for name in ("discriminator_loss", "generator_loss"):
            if not math.isfinite(logs[name]):
                raise NotFiniteError(name, self.model.step)


class Every(keras.callbacks.Callback):
    """Calls a function of the step every so many steps.

    Args:
        steps: Steps between calls.
        function: Takes the step, and finds the weights of the model as that step left them.
    """

    def __init__(self, steps, function):
        super().__init__()
        self._every = steps
        self._function = function

    def on_train_begin(self, logs=None):
        self._step = self.model.step

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        if self._step % self._every == 0:
            # On JAX, asking for the model brings its weights up to date.
            self._function(self.model.step)


class SampleSheets:
    """Writes a sheet of pictures, and one of attention for each attention layer.

    Pictures come from seeds 0, 1, ..., one a column; with classes there is one class a row.

    Args:
        gan: The `GAN`.
        samples: Folder of the sheets.
        attention: Folder of the attention sheets.
        rows: Rows of the sheet, at most. With more classes than rows, they are spread evenly.
        columns: Columns of the sheet.
    """

    def __init__(self, gan, samples, attention, rows, columns):
        self._gan = gan
        self._samples = samples
        self._attention = attention
        self._columns = columns
        self._maps_model = with_attention_maps(gan.sampler)
        if gan.conditional:
            classes = gan.generator.num_classes
            rows = min(rows, classes)
            self._seeds = np.tile(np.arange(columns), rows)
            self._labels = np.repeat(np.linspace(0, classes - 1, rows).astype(int), columns)
        else:
            self._seeds, self._labels = np.arange(rows * columns), None

    def __call__(self, step):
        """Writes the sheets of a step; returns their paths."""
        images = self._gan.sample(self._seeds, self._labels)
        paths = [self._samples / f"{step:08d}.png"]
        _save(sheets.sheet(images, self._columns), paths[0])
        # The first picture of the first rows.
        chosen = np.arange(0, len(images), self._columns)[:6]
        labels = None if self._labels is None else self._labels[chosen]
        inputs = generator_inputs(self._gan.sampler, self._seeds[chosen], labels)
        outputs = self._maps_model.predict_on_batch(inputs)
        outputs.pop("output")
        shapes = map_shapes(self._gan.sampler)
        for name, maps in outputs.items():
            paths.append(self._attention / f"{step:08d}_{name}.png")
            _save(sheets.attention_sheet(images[chosen], maps, *shapes[name]), paths[-1])
        return paths


def _save(image, path):
    with replacing(path) as partial:
        image.save(partial, format="png")


class StopOnSignal(keras.callbacks.Callback):
    """Ends `fit` after the current step on a stop signal (Ctrl-C, SIGTERM), or when time is up.

    A second signal ends the program at once.

    Args:
        max_minutes: Time that training may take, or None.

    Attributes:
        time_is_up: Whether `max_minutes` ended training.
    """

    def __init__(self, max_minutes=None):
        super().__init__()
        self._request = StopRequest(
            *STOP_SIGNALS,
            message="\nstopping after this step and saving; once more to stop at once",
        )
        self.time_is_up = False
        self._deadline = math.inf if max_minutes is None else time.monotonic() + 60 * max_minutes

    def __enter__(self):
        self._request.__enter__()
        return self

    def __exit__(self, *exception):
        self._request.__exit__(*exception)

    @property
    def signal(self):
        """The signal that came, or None."""
        return self._request.signal

    @property
    def stopped(self):
        """Whether training is to end early."""
        return self.signal is not None or self.time_is_up

    def on_train_batch_end(self, batch, logs=None):
        self.time_is_up = time.monotonic() > self._deadline
        if self.stopped:
            self.model.stop_training = True


class Progress(keras.callbacks.Callback):
    """Shows the step, the losses, the speed and the time left.

    On a terminal it is one line that changes; elsewhere a line every so many steps.

    Args:
        steps: Steps of the whole run.
        log_every: Steps between lines where there is no terminal.
        max_minutes: Time that training may take, or None.
        stream: Where to write.
    """

    def __init__(self, steps, log_every, max_minutes=None, stream=None):
        super().__init__()
        self._steps = steps
        self._log_every = log_every
        self._max_seconds = math.inf if max_minutes is None else 60 * max_minutes
        self._stream = stream or sys.stdout
        self._start = time.monotonic()
        self._timed_from = None
        self._shown = 0.0
        self._line_is_open = False

    def on_train_begin(self, logs=None):
        self._step = self.model.step

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        now = time.monotonic()
        if self._timed_from is None:  # the first step is traced, and tells nothing of the rest
            self._timed_from = (now, self._step)
            return
        last = self._step == self._steps
        if self._stream.isatty():
            if now - self._shown > 0.5 or last:
                self._shown = now
                self._write("\r\033[K", self._line(now, logs))
                self._line_is_open = True
        elif self._step % self._log_every == 0 or last:
            self._write("", self._line(now, logs), "\n")

    def on_train_end(self, logs=None):
        if self._line_is_open:
            self._write("\n")
            self._line_is_open = False

    def _write(self, *parts):
        self._stream.write("".join(parts))
        self._stream.flush()

    def _line(self, now, logs):
        start, first_step = self._timed_from
        seconds_per_step = (now - start) / (self._step - first_step)
        left = seconds_per_step * (self._steps - self._step)
        left = max(0, min(left, self._max_seconds - (now - self._start)))
        width = 20
        done = self._step * width // self._steps
        return (
            f"step {self._step}/{self._steps} [{'=' * done}{'.' * (width - done)}] "
            f"{1 / seconds_per_step:.3g} steps/s, {_clock(left)} left, "
            f"loss D {float(logs['discriminator_loss']):.3f} "
            f"G {float(logs['generator_loss']):.3f}"
        )


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
