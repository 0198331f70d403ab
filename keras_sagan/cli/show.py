"""Draws what people look at: samples, interpolations, neighbours, attention, singular values."""

import argparse
from pathlib import Path

from keras_sagan.cli.program import add_best, add_run, cannot_write, seed
from keras_sagan.cli.quiet import start_backend
from keras_sagan.errors import InputError
from keras_sagan.evaluating.showing import KINDS
from keras_sagan.running.pretrained import find_run


def add_arguments(parser):
    """Adds the arguments of `show`."""
    add_run(parser)
    parser.add_argument("--out", metavar="DIR", help="folder of the pictures, by default RUN/show")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=KINDS,
        default=KINDS,
        metavar="NAME",
        help=f"of {', '.join(KINDS)}; all unless given",
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of the first picture")
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="pictures to look for neighbours in; else those that the run learns from",
    )
    parser.add_argument(
        "--extractor",
        metavar="NAME",
        help="by whose features neighbours are near, as of evaluate; else the classifier of "
        "paired_shapes for its drawings, and pixels averaged to 8x8 for other data",
    )
    parser.add_argument(
        "--locations",
        nargs="+",
        type=_location,
        metavar="Y,X",
        help="pixels whose attention is drawn, by default the middle of each quarter",
    )
    add_best(parser)


def _location(text):
    """A pixel: row and column."""
    try:
        y, x = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not Y,X, such as 8,24") from None
    return y, x


def run(options):
    """Draws the pictures; returns the exit code."""
    run_folder = find_run(options.run)
    run_folder.config()
    checkpoint = run_folder.generator_checkpoint(options.best)
    out = run_folder.shown if options.out is None else Path(options.out)
    if options.out is not None and not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file: name a folder")
    start_backend()
    from keras_sagan.evaluating.showing import show

    given = (options.only, options.seed, options.data, options.extractor, options.locations)
    try:
        for line in show(run_folder, checkpoint, out, *given):
            print(line, flush=True)
    except OSError as error:  # a full disk, a folder that may not be written
        return cannot_write(f"--out {out}", error)
    return 0
