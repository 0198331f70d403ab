"""Packs the averaged generator of a run as one that comes with the package.

python -m benchmarks.pack_pretrained RUN NAME

writes keras_sagan/pretrained/NAME, a run folder of one checkpoint: the generator, its weights in
float16, beside the config, the names of the classes and the history. The card, README.md, is
written by hand.
"""

import argparse
import functools
import io
import shutil
import sys
import types
import zipfile

import h5py
import numpy as np

from keras_sagan.cli.program import Parser, add_best, add_run, run
from keras_sagan.running import checkpoints, pretrained
from keras_sagan.running.run_folder import Run


def pack(run_folder, folder, best=False):
    """Writes a run's averaged generator as a run folder.

    Args:
        run_folder: A `Run`.
        folder: Path to write to; a card that is there stays.
        best: Whether the generator is that of the best checkpoint; else it is that of the last.

    Returns:
        The path of the generator's file.
    """
    checkpoint = run_folder.generator_checkpoint(best)
    config = run_folder.config()
    alone = {"folder": None, "cache": None}  # paths of the machine that it was trained on
    data = config.data.model_copy(update=alone)
    train = config.train.model_copy(update={"init_from": None})
    packed = Run(folder)
    for old in (packed.checkpoints, packed.logs):
        shutil.rmtree(old, ignore_errors=True)
    packed.logs.mkdir(parents=True)
    packed.write_config(config.model_copy(update={"data": data, "train": train}))
    if (names := run_folder.class_names()) is not None:
        packed.write_class_names(names)
    step = checkpoints.step_of(checkpoint)
    shutil.copyfile(run_folder.history, packed.history)
    packed.truncate_history(step)
    save = functools.partial(_save_in_float16, run_folder.load_generator(checkpoint))
    written = packed.checkpoint(step)
    checkpoints.write_models({checkpoints.GENERATOR: types.SimpleNamespace(save=save)}, written)
    return written / checkpoints.GENERATOR


def _save_in_float16(generator, path):
    """Writes a `.keras` file with weights of half the bytes.

    Keras reads them into the float32 variables that the file's config has.
    """
    generator.save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, _in_float16(content) if name.endswith(".h5") else content)


def _in_float16(content):
    """An HDF5 file with all float32 in float16."""
    out = io.BytesIO()
    with h5py.File(io.BytesIO(content)) as source, h5py.File(out, "w") as target:

        def copy(name, item):
            if isinstance(item, h5py.Group):
                made = target.require_group(name)
            else:
                values = item[()]
                if item.dtype == np.float32:
                    values = values.astype(np.float16)
                made = target.create_dataset(name, data=values)
            made.attrs.update(item.attrs)

        target.attrs.update(source.attrs)
        source.visititems(copy)
    return out.getvalue()


def main():
    """Packs one."""
    parser = Parser(
        prog="python -m benchmarks.pack_pretrained",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_run(parser)
    parser.add_argument("name", metavar="NAME", help="of the pretrained generator")
    add_best(parser)
    return run(_pack, parser.parse_args())


def _pack(options):
    run_folder = pretrained.find_run(options.run)
    path = pack(run_folder, pretrained.FOLDER / options.name, options.best)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
