"""The files of a checkpoint: written whole, and known to be whole when they are read."""

import hashlib
import io
import json
import os
import shutil
import zipfile

from keras_sagan.errors import InputError
from keras_sagan.files.system import flush_folder
from keras_sagan.files.whole_files import write_to_disk

WEIGHTS = "gan.weights.h5"  # everything training needs
GENERATOR = "generator.keras"  # the averaged generator
# Beside the generator in a checkpoint that was imported, where there are no weights.
DISCRIMINATOR = "discriminator.keras"
TRAINED_GENERATOR = "trained_generator.keras"  # which the generator is the average of
_BEST = "best.json"  # of the best checkpoint: by which figure
_SUMS = "SHA256SUMS"  # as of sha256sum, which can check them too: sha256sum -c SHA256SUMS


def write(gan, folder, best=None):
    """Writes a checkpoint of a GAN into a folder, whole or not at all.

    Args:
        gan: The GAN.
        folder: The folder.
        best: Of the best checkpoint, a dictionary in JSON's types of what it is best by.

    Raises:
        OSError: It cannot be written, such as on a full disk. What there was before is kept.
    """
    saves = {WEIGHTS: gan.save_weights, GENERATOR: gan.sampler.save}
    if best is not None:
        saves[_BEST] = lambda file: file.write(json.dumps(best).encode())
    _write_files(saves, folder)


def best_by(folder):
    """Returns the dictionary that the best checkpoint was written with; None if it is lost."""
    path = folder / _BEST
    return json.loads(path.read_text("utf-8")) if is_whole(path) else None


def write_models(models, folder):
    """Writes a checkpoint of models by the names of their files, likewise: an imported one."""
    _write_files({name: model.save for name, model in models.items()}, folder)


def step_of(folder):
    """Returns the step of a checkpoint, by the name of its folder."""
    return int(folder.name.removeprefix("best-"))


def is_imported(folder):
    """Whether a checkpoint was imported: it never had weights of training."""
    sums = folder / _SUMS
    return sums.exists() and WEIGHTS not in sums.read_text("utf-8", "replace")


def load_models(gan, folder):
    """Takes over what there is of networks in an imported checkpoint.

    The discriminator stays as it is if there is none; optimizers begin anew.

    Raises:
        InputError: One that is damaged.
        ValueError: One that is not as those of the GAN.
    """

    def weights(name):
        path = folder / name
        if not is_whole(path):
            raise InputError(f"{path} is damaged")
        return load_model(path).get_weights()

    averaged = weights(GENERATOR)
    gan.ema_generator.set_weights(averaged)
    trained = (folder / TRAINED_GENERATOR).exists()
    gan.generator.set_weights(weights(TRAINED_GENERATOR) if trained else averaged)
    if (folder / DISCRIMINATOR).exists():
        gan.discriminator.set_weights(weights(DISCRIMINATOR))
    gan.step = step_of(folder)


def load_model(path):
    """Returns the model of a `.keras` file of a checkpoint.

    Raises:
        InputError: It is missing or damaged.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is missing or damaged ({text})") from error


def load_discriminator(folder, config):
    """Returns the discriminator of a checkpoint; None of an imported one that has none.

    Args:
        folder: That of the checkpoint.
        config: The `Config` of the run.

    Raises:
        InputError: It is missing or damaged, or the config is not of it.
    """
    from keras_sagan.adversarial.gan import GAN

    if is_imported(folder):
        path = folder / DISCRIMINATOR
        return load_model(path) if path.exists() else None
    path = folder / WEIGHTS
    try:
        gan = GAN(*config.model.networks())  # not compiled: optimizers take twice the memory
        gan.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is missing, damaged or not of the config ({text})") from error
    return gan.discriminator


def _write_files(saves, folder):
    partial = folder.with_name(f"partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        sums = [_write(partial / name, save) for name, save in saves.items()]
        write_to_disk(partial / _SUMS, "".join(sums).encode())
        flush_folder(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    flush_folder(folder.parent)


def is_whole(path):
    """Whether a file of a checkpoint is as it was written.

    Its checksum decides. Checkpoints of before these were written have none: there it is whether
    the file can be opened.
    """
    sums = path.with_name(_SUMS)
    try:
        if not sums.exists():
            return _opens(path)
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        lines = sums.read_text("utf-8", "replace").splitlines(keepends=True)
    except OSError:  # it is missing, or the disk cannot read it
        return False
    return _line(found, path.name) in lines


def _line(checksum, name):
    return f"{checksum}  {name}\n"


def _write(path, save):
    """Writes what Keras saves; returns its line of the checksums."""
    if path.suffix == ".keras":  # an archive, which Keras writes by itself
        save(path)
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            return _line(hashlib.file_digest(file, "sha256").hexdigest(), path.name)
    # In memory first: HDF5 ends the process where a disk is full.
    memory = _Memory(path.name)
    save(memory)
    write_to_disk(path, memory.getbuffer())
    return _line(hashlib.sha256(memory.getbuffer()).hexdigest(), path.name)


class _Memory(io.BytesIO):
    """A file in memory with a name, by which Keras knows the format."""

    def __init__(self, name):
        super().__init__()
        self._name = name

    def __str__(self):
        return self._name


def _opens(path):
    if path.suffix == ".keras":
        try:
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is None
        except zipfile.BadZipFile:
            return False
    import h5py

    h5py.File(path).close()  # or an OSError
    return True
