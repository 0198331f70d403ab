"""Trains a GAN from a config into a run folder: python train.py --config C --run-dir RUN."""

import sys

from keras_sagan.cli import train
from keras_sagan.cli.program import run_alone

if __name__ == "__main__":
    sys.exit(run_alone(train))
