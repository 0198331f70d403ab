"""Features of any Keras model: of `keras.applications`, or of a `.keras` file."""

import hashlib
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_sagan.errors import InputError
from keras_sagan.metrics.features.batches import Features, in_batches

_BATCH = 64


class KerasExtractor:
    """The outputs of a model, means over locations where they are maps.

    A network of `keras.applications` gives what comes before its classes, for pictures resized to
    224x224 (bilinear) and put into the range it was trained on. A model of a file gets pictures
    in [-1, 1] of its own size, to which they are resized.

    Args:
        name: "keras:NAME", such as keras:MobileNetV2, or the path of a `.keras` file.

    Raises:
        InputError: There is no such network, its weights cannot be had, or its outputs are none.
    """

    has_logits = False

    def __init__(self, name):
        kind, _, network = str(name).partition(":")
        if kind == "keras":
            self.name = str(name)
            self._model, self._prepare = _of_applications(network)
            self.protocol = {"resize": "bilinear to 224x224", "weights": "imagenet"}
        else:
            self.name = Path(name).name
            self._model, self._prepare = _of_file(name)
            height, width = self._model.input_shape[1:3]
            self.protocol = {"resize": f"bilinear to {height}x{width}", "range": "[-1, 1]"}
        digest = hashlib.sha256()
        for value in self._model.get_weights():
            digest.update(np.ascontiguousarray(value).tobytes())
        self.checksum = digest.hexdigest()
        self.size = int(self._features(np.zeros((1, 32, 32, 3), np.uint8))["features"].shape[1])

    def extract(self, images):
        """Returns the `Features` of uint8 images (n, height, width, 3)."""
        return Features(in_batches(self._features, images, _BATCH)["features"], None)

    def _features(self, images):
        size = self._model.input_shape[1:3]
        resized = ops.image.resize(ops.cast(images, "float32"), size, interpolation="bilinear")
        outputs = self._model(self._prepare(resized), training=False)
        axes = tuple(range(1, len(outputs.shape) - 1))
        outputs = ops.mean(outputs, axis=axes) if axes else outputs
        return {"features": ops.convert_to_numpy(ops.cast(outputs, "float32"))}


def _of_applications(network):
    make = getattr(keras.applications, network, None)
    if not callable(make):
        names = [name for name in dir(keras.applications) if name[0].isupper()]
        raise InputError(f"keras:{network}: keras.applications has {', '.join(names)}")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # whatever a run trains in, figures are the same
    try:
        model = make(include_top=False, weights="imagenet", input_shape=(224, 224, 3))
    except Exception as error:  # of any kind, where there is no network
        line = " ".join(str(error).split())[:150]
        raise InputError(f"keras:{network}: its weights cannot be had: {line}") from error
    finally:
        keras.config.set_dtype_policy(policy)
    module = __import__(make.__module__, fromlist=["preprocess_input"])
    return model, module.preprocess_input


def _of_file(path):
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, OSError, TypeError, KeyError) as error:
        line = " ".join(str(error).split())[:150]
        raise InputError(f"{path} is no Keras model that can be loaded: {line}") from error
    shape = getattr(model, "input_shape", None)
    if not (_is_shape(shape) and len(shape) == 4 and shape[3] == 3):
        raise InputError(f"{path} takes {shape}: it must take pictures (height, width, 3)")
    shape = getattr(model, "output_shape", None)
    if not (_is_shape(shape) and len(shape) > 1):
        raise InputError(f"{path} gives {shape}: it must give numbers or maps, and no others")
    return model, lambda images: images / 127.5 - 1


def _is_shape(shape):
    """Whether it is that of one tensor, known but for the batch: not of several, by name."""
    return isinstance(shape, tuple) and all(isinstance(length, int) for length in shape[1:])
