"""The command `keras-sagan`. `train.py` and `python -m export` are doors to the same functions."""

import argparse
import math
import os
import signal
import sys

from keras_sagan.distribute import STRATEGIES
from keras_sagan.errors import InputError
from keras_sagan.exporting import PRECISIONS

_LAST_SEED = 2**31 - 1


def main(arguments=None):
    """Runs the command; returns its exit code."""
    parser = _Parser(prog="keras-sagan", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, add_arguments, function, text in (
        ("train", add_train_arguments, train, "train a GAN from a config into a run folder"),
        ("sample", add_sample_arguments, sample, "draw pictures with the generator of a run"),
        ("export", add_export_arguments, export, "write a run's SavedModel and TF Lite files"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        add_arguments(command)
        command.set_defaults(function=function)
    options = parser.parse_args(arguments)
    return run_program(options.function, options)


def program(add_arguments, function, description, prog=None):
    """Runs one of the functions below as a program of its own; returns its exit code."""
    parser = _Parser(prog=prog, description=description)
    add_arguments(parser)
    return run_program(function, parser.parse_args())


def run_program(function, options):
    """Calls a function of the options; an InputError is one line and exit code 2."""
    # TensorFlow's own start-up messages say nothing to a user; errors still show.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return function(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        print(
            "error: TensorFlow is not installed: pip install tensorflow, or set KERAS_BACKEND=jax",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT


def add_train_arguments(parser):
    """Adds the arguments of `train`."""
    parser.add_argument("--config", metavar="FILE", help="a config, such as configs/cifar10.yaml")
    parser.add_argument("--run-dir", metavar="RUN", required=True, help="the run folder to write")
    parser.add_argument(
        "--data", metavar="DIR", help="train on a folder of images, one sub-folder a class"
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="assignments",
        nargs="+",
        action="extend",
        default=[],
        help="override values of the config, as in --set train.steps=1000 model.width=32",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in RUN")
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="auto",
        help="devices: auto uses all GPUs or TPUs, default one device, mirrored all devices",
    )


def train(options):
    """Trains a GAN; returns the exit code."""
    from keras_sagan import config as config_module
    from keras_sagan.run import Run

    run = Run(options.run_dir)
    if options.config is not None:
        config = config_module.load(options.config, options.assignments, options.data)
    elif options.resume:
        config = config_module.parse(
            run.config().model_dump(), f"{run.config_file}", options.assignments, options.data
        )
    else:
        raise InputError("--config is missing: name a config, such as configs/paired_shapes.yaml")
    if not options.resume:
        run.check_new()

    from keras_sagan import training
    from keras_sagan.callbacks import NotFiniteError

    try:
        outcome = training.train(config, options.run_dir, options.resume, options.strategy)
    except NotFiniteError as error:
        print(f"error: {error}; the last good checkpoint is kept", file=sys.stderr)
        return 1
    print(f"pictures: {outcome.sheets[0]}")
    for path in outcome.sheets[1:]:
        print(f"attention: {path}")
    if outcome.signal is not None:
        print(f"stopped at step {outcome.step}; to go on: the same command with --resume")
        return 128 + outcome.signal
    return 0


def add_sample_arguments(parser):
    """Adds the arguments of `sample`."""
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument("--seed", type=_seed, default=0, help="seed of the first picture")
    parser.add_argument("--count", type=_positive, default=16, help="number of pictures")
    parser.add_argument("--label", type=int, help="class of all pictures; else all in turn")
    parser.add_argument(
        "--truncation", type=_finite, default=1.0, help="factor of the latents; 1 is as trained"
    )
    parser.add_argument(
        "--out",
        metavar="FILE.png|DIR",
        required=True,
        help="the sheet to write; or a folder for a file a picture, any number of them. Pictures "
        "that are there already are kept, so the same command goes on after a stop",
    )


def sample(options):
    """Draws a sheet or a folder of pictures; returns the exit code."""
    from pathlib import Path

    from keras_sagan.run import Run

    out = Path(options.out)
    is_sheet = out.suffix.lower() == ".png"
    if out.suffix.lower() in (".jpg", ".jpeg", ".gif", ".webp", ".bmp"):
        raise InputError(f"--out {out}: name a file that ends in .png, or a folder")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}")
    last = options.seed + options.count - 1
    if last > _LAST_SEED:
        raise InputError(f"--count {options.count}: the last seed is {last}, beyond {_LAST_SEED}")
    run = Run(options.run)
    num_classes = run.config().model.num_classes
    if options.label is not None:
        if num_classes is None:
            raise InputError(f"--label {options.label}: the run in {run.path} has no classes")
        if not 0 <= options.label < num_classes:
            raise InputError(
                f"--label {options.label}: the classes of {run.path} are 0 to {num_classes - 1}"
            )
    run.last_step()
    seeds = range(options.seed, options.seed + options.count)
    labels = None
    if num_classes is not None:
        labels = [seed % num_classes if options.label is None else options.label for seed in seeds]
    try:
        return (_sample_sheet if is_sheet else _sample_folder)(options, out, run, seeds, labels)
    except OSError as error:  # a full disk, a folder that may not be written
        raise InputError(f"--out {out}: {error.strerror or error}") from error


def _sample_sheet(options, out, run, seeds, labels):
    from keras_sagan import pictures, sampling

    images = sampling.sample(run.load_generator(), seeds, labels, options.truncation)
    pictures.sheet(images, columns=min(options.count, 8)).save(out)
    print(out)
    return 0


def _sample_folder(options, out, run, seeds, labels):
    from keras_sagan.sample_folder import SampleFolder
    from keras_sagan.stop_request import StopRequest

    folder = SampleFolder(out, run, options.truncation)
    generator = run.load_generator()
    try:
        with StopRequest(signal.SIGINT) as request:
            kept = folder.write(generator, seeds, labels, request.check)
    except KeyboardInterrupt:
        print("\nstopped; to go on: the same command", file=sys.stderr)
        return 128 + signal.SIGINT
    print(f"{out}: {options.count} pictures" + (f", {kept} of them there already" * (kept > 0)))
    return 0


def add_export_arguments(parser):
    """Adds the arguments of `export`."""
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument(
        "--quantize",
        choices=PRECISIONS,
        nargs="+",
        default=PRECISIONS,
        help="precisions of the TF Lite files; all unless given",
    )
    parser.add_argument(
        "--batch", type=_positive, default=1, help="pictures that a TF Lite file draws at a time"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the export that is there")


def export(options):
    """Writes a SavedModel and TF Lite files; returns the exit code."""
    from importlib.util import find_spec

    from keras_sagan.run import Run

    run = Run(options.run)
    run.config()
    run.last_step()
    run.check_export(options.overwrite)
    import keras

    if keras.config.backend() != "tensorflow":
        raise InputError(
            f"export needs the TensorFlow backend, and this is {keras.config.backend()}: give the "
            "same command with KERAS_BACKEND=tensorflow, where TensorFlow is installed"
        )
    for package in ("ai_edge_litert", "ai_edge_quantizer", "tensorflow_serving"):
        if find_spec(package) is None:
            raise InputError(f"{package} is missing: pip install 'keras-sagan[export]'")

    from keras_sagan import exporting

    try:
        for line in exporting.export_run(run, options.quantize, options.batch, options.overwrite):
            print(line, flush=True)
    except OSError as error:  # a full disk, a folder that may not be written
        raise InputError(f"{run.export}: {error.strerror or error}") from error
    return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        self.exit(2, f"error: {message}\n")


def _whole(text):
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number") from None


def _positive(text):
    number = _whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def _seed(text):
    number = _whole(text)
    if not 0 <= number <= _LAST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {_LAST_SEED}")
    return number


def _finite(text):
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return number


if __name__ == "__main__":
    sys.exit(main())
