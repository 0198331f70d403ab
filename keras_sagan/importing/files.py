"""Reads the tensors of checkpoints, and nothing that could run."""

import contextlib
import pickle
import zipfile
from pathlib import Path

import numpy as np

from keras_sagan.errors import InputError
from keras_sagan.importing.state import State


def read(path):
    """Reads a checkpoint.

    Args:
        path: A `.pth` file of PyTorch, a `.safetensors` file, a `.h5` file of Keras 2, or the
            prefix of a TensorFlow checkpoint (whose files end in `.index` and `.data-...`).

    Returns:
        A `State`. Of a `.pth` file with a "state_dict" its tensors are that one's, and all else
        is in `others`; so are the metadata of `.safetensors`.

    Raises:
        InputError: No such file, one that is damaged, or one that holds more than data.
    """
    path = Path(path)
    if path.with_name(f"{path.name}.index").is_file():
        return State(_tensorflow(path), path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a checkpoint in it")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    if path.suffix == ".index":
        raise InputError(f"{path}: name the checkpoint without .index, as {path.with_suffix('')}")
    if path.suffix == ".safetensors":
        return State(*_safetensors(path))
    if path.suffix in (".h5", ".hdf5"):
        return State(_hdf5(path), path)
    return _pytorch(path)


def _pytorch(path):
    with _extra():
        import torch
    is_zip = zipfile.is_zipfile(path)
    try:
        # The scalars of NumPy are numbers, such as a score beside the tensors.
        with torch.serialization.safe_globals(_numpy_scalars()):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        raise InputError(f"{path}: {_refused(error)}") from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise InputError(f"{path}: it is damaged, or cut off ({_line(error)})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: it holds a {type(content).__name__}, and no tensors by name")
    tensors = content.get("state_dict", content)
    found = {str(k): v for k, v in tensors.items() if isinstance(v, torch.Tensor)}
    others = {k: v for k, v in content.items() if not isinstance(v, torch.Tensor)}
    others.pop("state_dict", None)
    if not found:
        raise InputError(f"{path}: it holds no tensors")
    return State(found, path, others)


def _numpy_scalars():
    scalar = np._core.multiarray.scalar
    types = (np.dtype, *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4")))
    return [*types, scalar, (scalar, "numpy.core.multiarray.scalar")]


def _refused(error):
    """What PyTorch refused to load, in a line."""
    _, _, after = str(error).partition("GLOBAL ")
    if after:
        what = after.split()[0]
        return f"it wants to load {what}, which may run code: only tensors and numbers are read"
    return f"it is damaged, or not a file of PyTorch ({_line(error)})"


def _safetensors(path):
    with _extra():
        from safetensors import SafetensorError, safe_open
    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, path, file.metadata()
    except (SafetensorError, OSError, TypeError) as error:
        raise InputError(f"{path}: it is damaged, or cut off ({_line(error)})") from error


def _tensorflow(path):
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(path))
        shapes = reader.get_variable_to_shape_map()
        dtypes = reader.get_variable_to_dtype_map()
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: it is damaged, or incomplete ({_line(error)})") from error
    # Texts are the graph of objects that newer versions write.
    names = sorted(name for name in shapes if dtypes[name] != tf.string)
    return {name: _Stored(reader, path, name, shapes[name]) for name in names}


class _Stored:
    """A tensor that is read when it is wanted: half of a checkpoint belongs to the optimizers."""

    def __init__(self, reader, path, name, shape):
        self._reader, self._path, self._name = reader, path, name
        self.shape = tuple(shape)

    def __array__(self, dtype=None, copy=None):
        import tensorflow as tf

        try:
            return np.asarray(self._reader.get_tensor(self._name), dtype)
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            line = _line(error)
            raise InputError(f"{self._path}: it is damaged, or incomplete ({line})") from error


def _hdf5(path):
    import h5py

    tensors = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            tensors[name] = item[()]

    try:
        with h5py.File(path) as file:
            file.visititems(visit)
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(f"{path}: it is damaged, or cut off ({_line(error)})") from error
    return tensors


@contextlib.contextmanager
def _extra():
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed, which reads this file: pip install "
            "'keras-sagan[importing]'"
        ) from error


def _line(error):
    return " ".join(str(error).split())[:150]
