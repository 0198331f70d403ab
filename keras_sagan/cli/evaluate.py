"""Judges pictures by the figures that papers report."""

import sys
import typing
import warnings
from pathlib import Path

from keras_sagan.cli.program import LAST_SEED, add_drawing, add_run, cannot_write, positive
from keras_sagan.cli.quiet import start_backend
from keras_sagan.errors import InputError
from keras_sagan.running.config import Metric
from keras_sagan.running.pretrained import find_run

_METRICS = typing.get_args(Metric)


def add_arguments(parser):
    """Adds the arguments of `evaluate`."""
    others = ", an exported file, or a folder of pictures that anything drew"
    add_run(parser, "RUN|FILE.tflite|DIR", others)
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--data", metavar="DIR", help="real pictures; else those that the run learns from"
    )
    given.add_argument(
        "--reference",
        metavar="FILE.npz",
        help="statistics of real pictures, mu and sigma, as of clean-fid, torch-fidelity or EDM",
    )
    parser.add_argument(
        "--metrics", nargs="+", choices=_METRICS, metavar="NAME", help=f"of {', '.join(_METRICS)}"
    )
    parser.add_argument("--samples", type=positive, default=10_000, help="number of pictures")
    parser.add_argument(
        "--extractor",
        metavar="NAME",
        help="inception[:FILE.pth], keras:NAME, FILE.keras, paired_shapes, cifar10_jpeg or "
        "classifier (trained on data with classes); by default what suits the data",
    )
    parser.add_argument(
        "--image-size",
        type=positive,
        default=32,
        help="of a folder of pictures: the size that they and the real ones are resized to",
    )
    add_drawing(parser)
    parser.add_argument(
        "--sweep-truncation",
        action="store_true",
        help="draw precision against recall at truncations from 0.3 to 1.2",
    )
    parser.add_argument(
        "--out", metavar="FILE.json", help="where to write; of a run, RUN/evaluation.json"
    )


def run(options):
    """Evaluates pictures; returns the exit code."""
    run_folder = find_run(options.run)
    path = run_folder.path
    is_run = run_folder.config_file.exists()
    if not is_run and not path.exists():
        raise InputError(f"{path}: there is no such run, file or folder")
    if options.samples < 2:
        raise InputError(f"--samples {options.samples}: figures need at least two pictures")
    if options.seed + options.samples - 1 > LAST_SEED:
        raise InputError(f"--samples {options.samples}: seeds would go beyond {LAST_SEED}")
    if not is_run and (options.best or options.sweep_truncation):
        raise InputError(f"--best and --sweep-truncation are of runs, and {path} is none")
    out = run_folder.evaluation if is_run else None
    if options.out:
        out = Path(options.out)
        if not out.parent.is_dir():
            raise InputError(f"--out {out}: there is no folder {out.parent}")
    start_backend()
    from keras_sagan.metrics import evaluation

    try:
        with warnings.catch_warnings():
            # As a line, such as that there are few pictures, and without a place in the code.
            warnings.showwarning = _show_warning
            result, sweep = _evaluate(options, run_folder if is_run else None, path)
        print("\n".join(evaluation.table(result)))
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)  # of a pretrained generator
            evaluation.write(result, out)
            print(out)
        if sweep is not None:
            from keras_sagan.evaluating import sweeping

            picture = out.with_name("truncation.png")
            sweeping.draw(sweep, picture)
            print(picture)
    except OSError as error:  # a full disk, a folder that may not be written
        return cannot_write(f"--out {out}", error)
    return 0


def _show_warning(message, *_):
    print(f"warning: {message}", file=sys.stderr)


def _evaluate(options, run_folder, path):
    from keras_sagan.evaluating import pictures, sweeping
    from keras_sagan.metrics import evaluation
    from keras_sagan.metrics.features import reference
    from keras_sagan.running import real_pictures

    config = run_folder and run_folder.config()
    drawn = (options.samples, options.seed, options.truncation)
    judged = None
    if run_folder:
        judged, size = pictures.of_run(run_folder, *drawn, options.best)
    elif path.is_file():
        judged, size = pictures.of_tflite(path, *drawn)
    else:
        size = options.image_size
    source, identity = real_pictures.source_of(options.data, size, config)
    extractor = real_pictures.choose_extractor(options.extractor, source, identity)
    if judged is None:
        judged = pictures.of_folder(path, options.samples, size)
    real = None
    if options.reference is not None:
        real = reference.of_file(options.reference)
    elif source is not None:
        real = reference.of_source(source, identity, extractor)
    if options.sweep_truncation and (real is None or real.features is None):
        raise InputError(
            "--sweep-truncation needs the features of real pictures one by one: give --data DIR"
        )
    result = evaluation.evaluate(judged, extractor, real, options.metrics)
    sweep = None
    if options.sweep_truncation:
        sweep = sweeping.sweep(run_folder, drawn, extractor, real, options.best)
        result["truncation_sweep"] = sweep
    return result, sweep
