"""Generators of other kinds than ours, exported."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from generators import check_same_pictures
from kinds import KINDS

from keras_sagan.exporting import convert_to_tflite, write_saved_model
from keras_sagan.sampling import sample


@pytest.mark.parametrize(
    "kind",
    [
        "its own class, of two arguments, built",
        pytest.param("a list of label (batch, 1) and latent", marks=pytest.mark.slow),
        pytest.param("Sequential", marks=pytest.mark.slow),
    ],
)
def test_generators_of_any_kind_are_exported(kind, tmp_path):
    generator, _ = KINDS[kind][0]()
    expected = sample(generator, range(100))
    inputs = {"seed": np.arange(100, dtype="int32"), "truncation": np.ones(100, "float32")}
    if "Sequential" not in kind:
        inputs["label"] = inputs["seed"] % 3
    write_saved_model(generator, str(tmp_path))
    exported = tf.saved_model.load(str(tmp_path))
    found = exported.signatures["sample"](**{k: tf.constant(v) for k, v in inputs.items()})
    check_same_pictures(found["image"].numpy(), expected)
    file, _ = convert_to_tflite(generator, batch_size=100)
    draw = Interpreter(model_content=file).get_signature_runner("sample")
    check_same_pictures(draw(**inputs)["image"], expected)
