"""Writes a run's SavedModel and TF Lite files: python -m export RUN."""

import sys

from keras_sagan import cli

if __name__ == "__main__":
    sys.exit(cli.program(cli.add_export_arguments, cli.export, __doc__, "python -m export"))
