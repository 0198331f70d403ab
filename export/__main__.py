"""Writes a run's SavedModel and TF Lite files: python -m export RUN."""

import sys

from keras_sagan.cli import export
from keras_sagan.cli.program import run_alone

if __name__ == "__main__":
    sys.exit(run_alone(export, "python -m export"))
