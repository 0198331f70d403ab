"""Puts runs side by side: a table, and curves of losses and quality."""

from pathlib import Path

from keras_sagan.cli.program import cannot_write
from keras_sagan.errors import InputError


def add_arguments(parser):
    """Adds the arguments of `compare`."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders")
    parser.add_argument(
        "--out",
        metavar="FILE.png",
        default="compare.png",
        help="where the curves go, by default compare.png",
    )


def run(options):
    """Prints the table and draws the curves; returns the exit code."""
    from keras_sagan.evaluating import comparing
    from keras_sagan.running.pretrained import find_run

    out = Path(options.out)
    if out.suffix.lower() != ".png":
        raise InputError(f"--out {out}: name a file that ends in .png")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}")
    found = comparing.records([find_run(path) for path in options.runs])
    print("\n".join(comparing.table(found)), flush=True)
    try:
        comparing.draw(found, out)
    except OSError as error:  # a full disk, a folder that may not be written
        return cannot_write(f"--out {out}", error)
    print(out)
    return 0
