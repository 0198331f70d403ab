"""A folder of sampled pictures, one file a picture, written while they are drawn."""

import datetime
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from keras_sagan.errors import InputError
from keras_sagan.files.whole_files import replacing

_RECORD = "sample.json"  # what drew the pictures


class SampleFolder:
    """A folder of pictures of one generator and truncation.

    Files are named by seed, and by label where there are classes: `seed0000000007_label3.png`.
    Pictures that are there already are not drawn again, so a sampling that was stopped goes on.

    Args:
        path: The folder, which need not exist yet.
        run: The `Run` that the generator is of.
        checkpoint: The folder of its checkpoint.
        truncation: Factor of the latents.

    Raises:
        InputError: A folder that holds anything but pictures of that generator and truncation.
    """

    def __init__(self, path, run, checkpoint, truncation):
        self.path = Path(path)
        with (checkpoint / "generator.keras").open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        self._record = {
            "run": str(run.path.resolve()),
            "checkpoint": checkpoint.name,
            "truncation": truncation,
            "generator_sha256": checksum,
        }
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise InputError(f"--out {path} is a file: name a folder, or a file that ends in .png")
        if (self.path / _RECORD).exists():
            self._check_record()
        elif any(self.path.iterdir()):
            raise InputError(f"--out {path} is not empty: name another folder")

    def _check_record(self):
        file = self.path / _RECORD
        try:
            old = json.loads(file.read_text(encoding="utf-8"))
            same = all(old[key] == self._record[key] for key in ("generator_sha256", "truncation"))
            about = f"{old['run']} with truncation {old['truncation']}"
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file} is damaged: name another folder") from error
        if not same:
            about = f"{about}, checkpoint {old.get('checkpoint', old.get('step'))}"
            raise InputError(f"--out {self.path} has pictures of {about}: name another folder")

    def write(self, generator, seeds, labels, before_each=lambda: None):
        """Draws the pictures that are missing and writes each to its file.

        Args:
            generator: The run's generator.
            seeds: (n,) integers.
            labels: (n,) integers, or None without classes.
            before_each: Called before each picture; what it raises ends the writing.

        Returns:
            How many were there already.
        """
        from keras_sagan.sampling.sampler import Sampler

        self.path.mkdir(exist_ok=True)
        with replacing(self.path / _RECORD) as file:
            file.write_text(json.dumps(self._record, indent=2) + "\n", "utf-8")
        names = [f"seed{seed:010d}" for seed in seeds]
        if labels is not None:
            names = [f"{name}_label{label}" for name, label in zip(names, labels, strict=True)]
        there = {entry.name for entry in os.scandir(self.path)}
        missing = np.array([i for i, name in enumerate(names) if f"{name}.png" not in there], int)
        if len(missing):
            progress = _Progress(len(missing))
            labels = None if labels is None else np.asarray(labels)[missing]
            images = Sampler(generator).batches(
                np.asarray(seeds)[missing], labels, self._record["truncation"]
            )
            written = 0
            for batch in images:
                for i, image in zip(missing[written : written + len(batch)], batch, strict=True):
                    before_each()
                    # Whole or not at all: a file that is there will not be drawn again.
                    with replacing(self.path / f"{names[i]}.png") as partial:
                        Image.fromarray(image).save(partial, format="png")
                written += len(batch)
                progress.show(written)
        return len(names) - len(missing)


class _Progress:
    """Says how far it is: on a terminal in one line that changes, else every ten seconds."""

    def __init__(self, count):
        self._count = count
        self._is_terminal = sys.stdout.isatty()
        self._timed_from = None
        self._shown = time.monotonic()

    def show(self, done):
        now = time.monotonic()
        if self._timed_from is None:  # the first batch is traced, and tells nothing of the rest
            self._timed_from = (now, done)
        start, first = self._timed_from
        last = done == self._count
        if not last and (done == first or now - self._shown < (0.5 if self._is_terminal else 10)):
            return
        self._shown = now
        line = f"{done}/{self._count} pictures"
        if done > first:
            seconds = (now - start) / (done - first)
            left = datetime.timedelta(seconds=round(seconds * (self._count - done)))
            line += f", {1 / seconds:.3g} a second, {left} left"
        clear, end = ("\r\033[K", "\n" if last else "") if self._is_terminal else ("", "\n")
        print(f"{clear}{line}", end=end, flush=True)
