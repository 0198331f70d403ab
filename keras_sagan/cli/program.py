"""What the commands share: a parser that says one line, types of arguments, exit codes."""

import argparse
import contextlib
import errno
import math
import os
import signal
import sys

from keras_sagan.errors import InputError
from keras_sagan.running import pretrained

LAST_SEED = 2**31 - 1


def run_alone(command, prog=None):
    """Runs one command as a program of its own; returns its exit code."""
    parser = Parser(prog=prog, description=command.__doc__.splitlines()[0])
    command.add_arguments(parser)
    return run(command.run, parser.parse_args())


def run(function, options):
    """Calls a function of the options; an InputError is one line and exit code 2."""
    if hasattr(sys.stdout, "reconfigure"):
        # A name that the terminal has no letters for is no reason to end, as on standard error.
        sys.stdout.reconfigure(errors="backslashreplace")
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


def cannot_write(where, error):
    """Says in a line what an OSError was; returns the exit code: 1 if a disk is full, else 2."""
    print(f"error: {where}: {error.strerror or error}", file=sys.stderr)
    return 1 if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else 2


def add_run(parser, metavar="RUN", others=""):
    """Adds the argument of commands that take a run: its folder, or a pretrained generator.

    Args:
        parser: The parser.
        metavar: What stands for it in the help text.
        others: What else may be given.
    """
    parser.add_argument(
        "run",
        metavar=metavar,
        help=f"a run folder, or a pretrained generator ({', '.join(pretrained.names())}){others}",
    )


def add_drawing(parser):
    """Adds how pictures of a run are drawn: `--seed`, `--truncation` and `--best`."""
    parser.add_argument("--seed", type=seed, default=0, help="seed of the first picture")
    parser.add_argument(
        "--truncation", type=finite, default=1.0, help="factor of the latents; 1 is as trained"
    )
    add_best(parser)


def add_best(parser):
    """Adds `--best`, of commands that take a run."""
    parser.add_argument(
        "--best",
        action="store_true",
        help="of a run that was evaluated while it was trained: its best checkpoint, not the last",
    )


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        self.exit(2, f"error: {message}\n")


def whole(text):
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        with contextlib.suppress(ValueError):
            number = float(text)  # 1e3
            if number.is_integer():
                return int(number)
        raise argparse.ArgumentTypeError(f"{text} is not a whole number") from None


def positive(text):
    """A whole number from 1 on."""
    number = whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def seed(text):
    """The seed of a picture."""
    number = whole(text)
    if not 0 <= number <= LAST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {LAST_SEED}")
    return number


def finite(text):
    """A finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return number
