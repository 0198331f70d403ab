"""Runs the programs as a person would."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
# Of the few steps of a test, compiling takes the most: twice as long with all optimisations.
JAX = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
SMALL = (
    "model.width=8",
    "model.latent_dim=8",
    "train.batch_size=8",
    "train.steps=6",
    "train.log_every=2",
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


def train_arguments(run_dir, *assignments, config="configs/paired_shapes.yaml"):
    """Arguments of a training that takes seconds."""
    return ["train.py", "--config", config, "--run-dir", run_dir, "--set", *SMALL, *assignments]
