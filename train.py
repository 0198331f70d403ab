"""Trains a GAN from a config into a run folder: python train.py --config C --run-dir RUN."""

import sys

from keras_sagan import cli

if __name__ == "__main__":
    sys.exit(cli.program(cli.add_train_arguments, cli.train, __doc__))
