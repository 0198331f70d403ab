"""A generator as TF Lite files that hold nothing but built-in operations."""

import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from keras_sagan.exporting import PRECISIONS, quantize
from keras_sagan.exporting.device import device_model
from keras_sagan.exporting.signatures import SIGNATURES, write_signatures
from keras_sagan.models import named_generator
from keras_sagan.sampling.inference import inference_model


def convert_to_tflite(generator, precision="float32", batch_size=1, signatures=SIGNATURES):
    """Converts a generator to TF Lite, with the signatures of `write_signatures`, or some of them.

    - float32: the numbers of the Keras model, to rounding.
    - float16: weights of half the size; computes in float32 where the device does not otherwise.
    - dynamic_int8: weights of a quarter of the size, and the fastest on CPUs.
    - int8: the same size, for accelerators that know nothing but int8.

    The batch size is fixed: with an open one the converter falls back on Select-TF operations,
    which the plain LiteRT interpreter does not have.

    Args:
        generator: A trained generator, of any kind that `GAN` takes, which stays as it is.
        precision: One of `PRECISIONS`.
        batch_size: Pictures a call.
        signatures: Names of those that the file is to have. `generate` must be one of them.

    Returns:
        The bytes of the file, and the names of the layers that int8 leaves in float.

    Raises:
        ValueError: A precision or signature that there is not, a batch size below 1, or, for
            int8, a generator with labels that has no attribute `num_classes`.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if "generate" not in signatures or not set(signatures) <= set(SIGNATURES):
        known = ", ".join(SIGNATURES)
        raise ValueError(f"signatures must be generate and others of {known}, got {signatures}")
    generator = named_generator(generator)
    model = device_model(inference_model(generator), precision)
    num_classes = None
    if "label" in generator.input:
        num_classes = getattr(generator, "num_classes", None)
        if num_classes is None and precision == "int8":
            raise ValueError("int8 needs a generator with labels to tell its num_classes")
    file, left = converted(model, batch_size, num_classes, signatures), []
    if precision == "float16":
        file = quantize.to_float16(file)
    if precision == "dynamic_int8":
        file = quantize.to_dynamic_int8(file)
    if precision == "int8":
        layers = [
            layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)
        ]
        file, left = quantize.to_int8(file, model.name, layers, num_classes)
    return quantize.dequantize_digits(file), [name.rstrip(".") for name in left]


def converted(model, batch_size, num_classes=None, signatures=SIGNATURES):
    """Returns a Keras model as it is, as the bytes of a TF Lite file."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "saved_model")
        write_signatures(model, path, batch_size, num_classes)
        converter = tf.lite.TFLiteConverter.from_saved_model(path, signature_keys=signatures)
        # Built-ins only: an operation that is not one fails the conversion.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return converter.convert()
