"""What each TF Lite file costs, and how true it is to the Keras model."""

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_sagan.exporting.gpu_delegate import left_to_the_cpu
from keras_sagan.exporting.quantize import psnr
from keras_sagan.sampling.sampler import generator_inputs

PICTURES = 256
_SCRIPT = Path(__file__).with_name("run_tflite.py")
_PICTURES_ON_ONE_CORE = 32  # for the time alone
_COLUMNS = (
    ("file", "{file}"),
    ("MB", "{mb:.2f}"),
    ("ms, 1 core", "{ms_1_core:.1f}"),
    ("ms, {cores} cores", "{ms_all_cores:.1f}"),
    ("peak MB", "{peak_mb:.0f}"),
    ("PSNR dB", "{psnr_db:.1f}"),
    ("SSIM", "{ssim:.4f}"),
    ("GPU", "{gpu}"),
)


class Report:
    """Measures TF Lite files against a Keras generator over 256 seeds.

    Args:
        generator: The trained generator.
        batch_size: That of the files.
    """

    def __init__(self, generator, batch_size=1):
        self.batch_size = batch_size
        # Those that this process may use, where the system tells (Linux).
        affinity = getattr(os, "sched_getaffinity", None)
        self.cores = len(affinity(0)) if affinity else os.cpu_count()
        self.inputs = generator_inputs(generator, range(PICTURES))
        self.expected = generator.predict(self.inputs, batch_size=32, verbose=0)

    def measure(self, path):
        """Measures a file.

        Returns:
            A dictionary of the numbers of a row (times in ms a picture, memory in MB of a process
            that only runs the file, or None where the system does not tell, PSNR in dB over all
            pictures, mean SSIM, the seed and PSNR of the worst picture, the operations of
            `generate` that GPU delegates leave to the CPU), and the pictures, (256, height,
            width, 3) float32.
        """
        _, one_core = self._run(path, _PICTURES_ON_ONE_CORE, threads=1)
        images, all_cores = self._run(path, PICTURES, self.cores)
        ssim = [
            tf.image.ssim(images[i : i + 32], self.expected[i : i + 32], max_val=2.0)
            for i in range(0, PICTURES, 32)
        ]
        each = [psnr(*pair) for pair in zip(images, self.expected, strict=True)]
        worst = int(np.argmin(each))
        row = {
            "file": path.name,
            "mb": path.stat().st_size / 1e6,
            "ms_1_core": one_core["ms"],
            "ms_all_cores": all_cores["ms"],
            "peak_mb": all_cores["peak_mb"],
            "psnr_db": psnr(images, self.expected),
            "ssim": float(np.mean(ssim)),
            "worst_seed": worst,
            "worst_psnr_db": each[worst],
            "left_to_the_cpu": left_to_the_cpu(path.read_bytes()),
        }
        return row, images

    def header(self, names):
        """Returns the first line of the table of files of these names."""
        titles = [title.format(cores=self.cores) for title, _ in _COLUMNS]
        # As wide as what is known beforehand: a line is shown as soon as its file is measured.
        self._widths = [
            max(map(len, (titles[0], *names))),
            *(max(len(title), 7) for title in titles[1:]),
        ]
        return self._line(titles)

    def line(self, row):
        """Returns the line of a file that was measured, after `header`."""
        known = {name: math.nan if value is None else value for name, value in row.items()}
        known["gpu"] = "in part" if row["left_to_the_cpu"] else "whole"
        return self._line([text.format(**known) for _, text in _COLUMNS])

    def _line(self, cells):
        first, *rest = zip(cells, self._widths, strict=True)
        texts = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)]
        return "  ".join(texts)

    def _run(self, path, count, threads):
        whole = -(-count // self.batch_size) * self.batch_size
        inputs = {
            name: np.resize(values[:count], (whole, *values.shape[1:]))
            for name, values in self.inputs.items()
        }
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            np.savez(folder / "inputs.npz", **inputs)
            files = (path, folder / "inputs.npz", folder / "images.npy")
            process = subprocess.run(
                [sys.executable, _SCRIPT, *files, str(threads)],
                capture_output=True,
                text=True,
            )
            if process.returncode:
                raise RuntimeError(f"{path} does not run: {process.stderr.strip()[-500:]}")
            return np.load(folder / "images.npy")[:count], json.loads(process.stdout)
