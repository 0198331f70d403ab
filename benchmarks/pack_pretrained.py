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
import types
import zipfile

import h5py
import numpy as np


def pack(run, folder, best=False):
    """Writes a run's averaged generator as a run folder.

    Args:
        run: A `Run`.
        folder: Path to write to; a card that is there stays.
        best: Whether the generator is that of the best checkpoint; else it is that of the last.

    Returns:
        The path of the generator's file.
    """
    from keras_sagan.running import checkpoints
    from keras_sagan.running.run_folder import Run

    checkpoint = run.generator_checkpoint(best)
    config = run.config()
    alone = {"folder": None, "cache": None}  # paths of the machine that it was trained on
    data = config.data.model_copy(update=alone)
    train = config.train.model_copy(update={"init_from": None})
    packed = Run(folder)
    for old in (packed.checkpoints, packed.logs):
        shutil.rmtree(old, ignore_errors=True)
    packed.logs.mkdir(parents=True)
    packed.write_config(config.model_copy(update={"data": data, "train": train}))
    if (names := run.class_names()) is not None:
        packed.write_class_names(names)
    shutil.copyfile(run.history, packed.history)
    save = functools.partial(_save_in_float16, run.load_generator(checkpoint))
    written = packed.checkpoint(checkpoints.step_of(checkpoint))
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
    parser = argparse.ArgumentParser(
        "python -m benchmarks.pack_pretrained",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument("name", metavar="NAME", help="of the pretrained generator")
    parser.add_argument("--best", action="store_true", help="the best checkpoint, not the last")
    options = parser.parse_args()
    from keras_sagan.running import pretrained
    from keras_sagan.running.run_folder import Run

    path = pack(Run(options.run), pretrained.FOLDER / options.name, options.best)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
