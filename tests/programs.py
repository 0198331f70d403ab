"""Runs the programs as a person would."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from unittest import mock

REPOSITORY = Path(__file__).parents[1]
# Of the few steps of a test, compiling takes the most: twice as long with all optimisations, and
# twice as long again with the emitters of fusions.
JAX = {
    "KERAS_BACKEND": "jax",
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false",
}
SMALL = (
    "model.width=8",
    "model.latent_dim=8",
    "train.batch_size=8",
    "train.steps=6",
    "train.log_every=2",
    "train.jit_compile=null",  # XLA would compile for longer than the steps take
    "optimizer.schedule=constant",  # steps that follow on a resume are worth as much
    "samples.every=4",
    "samples.columns=2",
    "checkpoints.every=3",
)


def run(*arguments, cwd=REPOSITORY, env=None, **options):
    """Runs Python with arguments; returns the completed process, with its output as text."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


def run_here(*arguments):
    """As `run`, but within this process: where TensorFlow's start would take most of the time.

    What TensorFlow itself writes to the streams is not in the result.
    """
    first, *rest = map(str, arguments)
    module = rest.pop(0) if first == "-m" else None
    streams = io.StringIO(), io.StringIO()
    code = 0
    with (
        contextlib.chdir(REPOSITORY),
        mock.patch.object(sys, "argv", [module or first, *rest]),
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
        warnings.catch_warnings(category=RuntimeWarning, action="ignore"),  # imported before
    ):
        try:
            if module:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(first, run_name="__main__")
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(arguments, code, *(each.getvalue() for each in streams))


def train_arguments(run_dir, *assignments, config="configs/paired_shapes.yaml"):
    """Arguments of a training that takes seconds."""
    return ["train.py", "--config", config, "--run-dir", run_dir, "--set", *SMALL, *assignments]
