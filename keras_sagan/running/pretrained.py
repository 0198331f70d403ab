"""Generators that come with the package: `keras_sagan/pretrained/NAME`, each a run folder."""

import sys
from pathlib import Path

from keras_sagan.errors import InputError, did_you_mean

FOLDER = Path(__file__).resolve().parent.parent / "pretrained"


def names():
    """Returns the names of the pretrained generators, sorted."""
    return sorted(file.parent.name for file in FOLDER.glob("*/config.yaml"))


def find_run(text):
    """Returns the `Run` of a run folder, or of a pretrained generator by its name.

    A folder of that name in the working directory comes first, and a line to standard error says
    so. What is made of a pretrained generator is written to `pretrained/NAME` there.

    Args:
        text: Path or name, as it was typed.

    Raises:
        InputError: Neither a path nor a name, but nearly a name.
    """
    from keras_sagan.running.run_folder import Run  # not for names alone, which --help lists

    path, known = Path(text), names()
    if text in known:
        if not path.exists():
            return Run(FOLDER / text, outputs=Path("pretrained") / text)
        print(f"note: {text} is the folder here, not the pretrained generator", file=sys.stderr)
    elif path.name == text and not path.exists() and (hint := did_you_mean(text, known)):
        raise InputError(f"{text}: no such run folder or pretrained generator{hint}")
    return Run(path)


def load_pretrained(name):
    """Loads a generator that comes with the package.

    Args:
        name: "cifar10": 32x32 pictures of ten classes. Its card is
            `keras_sagan/pretrained/cifar10/README.md`.

    Returns:
        A `keras.Model` with averaged weights, for `keras_sagan.sampling.sample`.

    Raises:
        ValueError: There is none of this name.

    Example:

    >>> generator = keras_sagan.load_pretrained("cifar10")
    >>> images = keras_sagan.sampling.sample(generator, seeds=range(10), labels=range(10))
    """
    from keras_sagan.running.run_folder import Run

    if name not in names():
        hint = did_you_mean(name, names())
        raise ValueError(f"no pretrained generator {name!r}{hint}: there are {', '.join(names())}")
    return Run(FOLDER / name).load_generator()
