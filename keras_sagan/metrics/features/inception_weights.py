"""The published weights of the 2015 Inception network: where they are, and how they are read."""

import hashlib
import pickle
import re
import urllib.request
from pathlib import Path

import numpy as np

from keras_sagan.errors import InputError
from keras_sagan.files.whole_files import replacing
from keras_sagan.metrics.features.cache import cache_folder

NAME = "weights-inception-2015-12-05-6726825d.pth"
CHECKSUM = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{NAME}"
_EPSILON = 1e-3  # of the batch norms


def find(path=None):
    """Returns the path of the weights.

    Args:
        path: A file; or None for the one in `cache_folder`, where it is downloaded if it is not
            there or damaged.

    Raises:
        InputError: There is no such file, or it cannot be downloaded.
    """
    if path is not None:
        if not Path(path).is_file():
            raise InputError(f"{path}: there is no such file of weights for inception")
        return Path(path)
    path = cache_folder() / NAME
    if not (path.is_file() and checksum_of(path) == CHECKSUM):
        _download(path)
    return path


def _download(path):
    try:
        with replacing(path) as partial:
            with urllib.request.urlopen(URL, timeout=30) as source, partial.open("wb") as file:
                while chunk := source.read(1 << 20):
                    file.write(chunk)
            if checksum_of(partial) != CHECKSUM:
                raise InputError(f"{URL}: what came is another file, by its checksum")
    except OSError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the weights of inception cannot be downloaded ({reason}): fetch {URL} elsewhere, and "
            f"name the file as inception:PATH or put it at {path}"
        ) from error


def checksum_of(path):
    """Returns the SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(network, path):
    """Fills a network of `inception_network` with the weights of a file.

    Args:
        network: The network.
        path: The published file, or another in its layout. If its name ends in eight digits of a
            checksum, as the published ones do, it has to be that file.

    Returns:
        SHA-256 of the file.

    Raises:
        InputError: The file is damaged, or another network's.
    """
    checksum = checksum_of(path)
    promised = re.search(r"-([0-9a-f]{8})\.pth$", path.name)
    if promised and not checksum.startswith(promised[1]):
        raise InputError(
            f"{path}: it is damaged, or not what its name says: its checksum begins with "
            f"{checksum[:8]}"
        )
    tensors = _read(path)
    for layer in network.layers:
        if not layer.weights:
            continue
        try:
            weights = _of_layer(tensors, layer.name)
        except KeyError as error:
            raise InputError(
                f"{path}: it has no {error.args[0]}: not the weights of inception"
            ) from error
        expected = [tuple(weight.shape) for weight in layer.weights]
        if [weight.shape for weight in weights] != expected:
            raise InputError(
                f"{path}: {layer.name} has other shapes in it: not the weights of inception"
            )
        layer.set_weights(weights)
    return checksum


def _of_layer(tensors, name):
    """Returns the weights of a layer, with the batch norm after it in its kernel and bias."""
    if name == "fc":
        return [tensors["fc_weight"].T]
    kernel = tensors[f"{name}_conv_weight"].transpose(2, 3, 1, 0).astype(np.float64)
    gain, bias, mean, variance = (
        tensors[f"{name}_bn_{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gain / np.sqrt(variance + _EPSILON)
    return [(kernel * scale).astype(np.float32), (bias - mean * scale).astype(np.float32)]


def _read(path):
    """Returns the tensors of a file of PyTorch, by name with "_" for "."; runs nothing in it."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed, which reads {path}: pip install "
            "'keras-sagan[importing]'"
        ) from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return {name.replace(".", "_"): tensor.numpy() for name, tensor in content.items()}
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise InputError(f"{path}: it is damaged, or not a file of PyTorch") from error
    except AttributeError as error:
        raise InputError(f"{path}: it holds no tensors by name") from error
