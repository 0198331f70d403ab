"""Draws pictures with the generator of a run."""

import signal
import sys
from pathlib import Path

from keras_sagan.cli.program import LAST_SEED, add_drawing, add_run, cannot_write, positive
from keras_sagan.cli.quiet import start_backend
from keras_sagan.errors import InputError
from keras_sagan.running.pretrained import find_run


def add_arguments(parser):
    """Adds the arguments of `sample`."""
    add_run(parser)
    parser.add_argument("--count", type=positive, default=16, help="number of pictures")
    parser.add_argument("--label", type=int, help="class of all pictures; else all in turn")
    add_drawing(parser)
    parser.add_argument(
        "--out",
        metavar="FILE.png|DIR",
        required=True,
        help="the sheet to write; or a folder for a file a picture, any number of them. Pictures "
        "that are there already are kept, so the same command goes on after a stop",
    )


def run(options):
    """Draws a sheet or a folder of pictures; returns the exit code."""
    out = Path(options.out)
    is_sheet = out.suffix.lower() == ".png"
    if out.suffix.lower() in (".jpg", ".jpeg", ".gif", ".webp", ".bmp"):
        raise InputError(f"--out {out}: name a file that ends in .png, or a folder")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}")
    last = options.seed + options.count - 1
    if last > LAST_SEED:
        raise InputError(f"--count {options.count}: the last seed is {last}, beyond {LAST_SEED}")
    run_folder = find_run(options.run)
    num_classes = run_folder.config().model.num_classes
    if options.label is not None:
        given = f"--label {options.label}"
        if num_classes is None:
            raise InputError(f"{given}: the run in {run_folder.path} has no classes")
        if not 0 <= options.label < num_classes:
            last = num_classes - 1
            raise InputError(f"{given}: the classes of {run_folder.path} are 0 to {last}")
    checkpoint = run_folder.generator_checkpoint(options.best)
    seeds = range(options.seed, options.seed + options.count)
    labels = None
    if num_classes is not None:
        labels = [seed % num_classes if options.label is None else options.label for seed in seeds]
    start_backend()
    try:
        draw = _sample_sheet if is_sheet else _sample_folder
        return draw(options, out, run_folder, checkpoint, seeds, labels)
    except OSError as error:  # a full disk, a folder that may not be written
        return cannot_write(f"--out {out}", error)


def _sample_sheet(options, out, run_folder, checkpoint, seeds, labels):
    from keras_sagan.files.whole_files import replacing
    from keras_sagan.sampling import sample, sheets

    images = sample(run_folder.load_generator(checkpoint), seeds, labels, options.truncation)
    with replacing(out) as file:
        sheets.sheet(images, columns=min(options.count, 8)).save(file, format="png")
    print(out)
    return 0


def _sample_folder(options, out, run_folder, checkpoint, seeds, labels):
    from keras_sagan.running.stop_request import StopRequest
    from keras_sagan.sampling.folder import SampleFolder

    folder = SampleFolder(out, run_folder, checkpoint, options.truncation)
    generator = run_folder.load_generator(checkpoint)
    try:
        with StopRequest(signal.SIGINT) as request:
            kept = folder.write(generator, seeds, labels, request.check)
    except KeyboardInterrupt:
        print("\nstopped; to go on: the same command", file=sys.stderr)
        return 128 + signal.SIGINT
    print(f"{out}: {options.count} pictures" + (f", {kept} of them there already" * (kept > 0)))
    return 0
