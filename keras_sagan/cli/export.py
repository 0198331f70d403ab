"""Writes the SavedModel and the TF Lite files of a run."""

import sys
from importlib.util import find_spec

from keras_sagan.cli.program import add_best, add_run, cannot_write, positive
from keras_sagan.cli.quiet import start_backend, startup_lines_dropped
from keras_sagan.errors import InputError
from keras_sagan.exporting import PRECISIONS
from keras_sagan.running.pretrained import find_run


def add_arguments(parser):
    """Adds the arguments of `export`."""
    add_run(parser)
    parser.add_argument(
        "--quantize",
        choices=PRECISIONS,
        nargs="+",
        default=PRECISIONS,
        help="precisions of the TF Lite files; all unless given",
    )
    parser.add_argument(
        "--batch", type=positive, default=1, help="pictures that a TF Lite file draws at a time"
    )
    add_best(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the export that is there")


def run(options):
    """Writes a SavedModel and TF Lite files; returns the exit code."""
    run_folder = find_run(options.run)
    run_folder.config()
    checkpoint = run_folder.generator_checkpoint(options.best)
    run_folder.check_export(options.overwrite)
    with startup_lines_dropped():  # LiteRT starts when a file is first run, in the midst of it
        return _export(run_folder, checkpoint, options)


def _export(run_folder, checkpoint, options):
    start_backend()
    import keras

    if keras.config.backend() != "tensorflow":
        raise InputError(
            f"export needs the TensorFlow backend, and this is {keras.config.backend()}: give the "
            "same command with KERAS_BACKEND=tensorflow, where TensorFlow is installed"
        )
    for package in ("ai_edge_litert", "ai_edge_quantizer", "tensorflow_serving"):
        if find_spec(package) is None:
            raise InputError(f"{package} is missing: pip install 'keras-sagan[export]'")

    import tensorflow as tf

    from keras_sagan import exporting

    try:
        for line in exporting.export_run(
            run_folder, options.quantize, options.batch, options.overwrite, checkpoint
        ):
            print(line, flush=True)
    except OSError as error:  # a full disk, a folder that may not be written
        return cannot_write(run_folder.export if error.filename is None else error.filename, error)
    except ArithmeticError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except tf.errors.ResourceExhaustedError as error:  # the same of TensorFlow's own files
        print(f"error: {run_folder.export}: {' '.join(error.message.split())}", file=sys.stderr)
        return 1
    return 0
