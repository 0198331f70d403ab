"""A generator as a TF Lite file that holds nothing but built-in operations."""

import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_sagan.exporting.device_model import device_model
from keras_sagan.exporting.inference_model import inference_model
from keras_sagan.exporting.signatures import SIGNATURES, write_signatures


def convert_to_tflite(generator, batch_size=1):
    """Converts a generator to TF Lite in float32, with the signatures of `write_signatures`.

    The batch size is fixed: with an open one the converter falls back on Select-TF operations,
    which the plain LiteRT interpreter does not have.

    Args:
        generator: A trained generator, which stays as it is.
        batch_size: Pictures a call.

    Returns:
        The bytes of the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "saved_model")
        write_signatures(device_model(inference_model(generator)), path, batch_size)
        converter = tf.lite.TFLiteConverter.from_saved_model(path, signature_keys=SIGNATURES)
        # Built-ins only: an operation that is not one fails the conversion.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return converter.convert()


def check_tflite(path, generator, pictures=8):
    """Compares a TF Lite file with the generator that it was converted from.

    Args:
        path: The file, of batch size 1.
        generator: The generator.
        pictures: How many pictures to compare.

    Returns:
        The largest difference of any value, of images in [-1, 1].

    Raises:
        ImportError: ai-edge-litert is not installed.
    """
    from ai_edge_litert.interpreter import Interpreter

    from keras_sagan.sampling import generator_inputs

    inputs = generator_inputs(generator, range(pictures))
    expected = generator.predict(inputs, verbose=0)
    generate = Interpreter(str(path)).get_signature_runner("generate")
    difference = 0.0
    for i in range(pictures):
        image = generate(**{name: value[i : i + 1] for name, value in inputs.items()})["image"]
        difference = max(difference, float(np.abs(image[0] - expected[i]).max()))
    return difference
