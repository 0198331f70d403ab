"""The SavedModel as a server runs it."""

import numpy as np
import pytest
import tensorflow as tf
from generators import check_same_pictures
from programs import run
from serving import MODELS, Served
from tensorflow_serving.apis import (
    prediction_log_pb2,
)

from keras_sagan.exporting.warmup import BATCH_SIZES
from keras_sagan.sampling import latents

# The start of a program that cannot import some packages: Python stops at None.
REFUSE = "import runpy, sys; sys.modules.update(dict.fromkeys({}))\n"
WITHOUT_KERAS = REFUSE.format(("keras", "keras_sagan"))
WITHOUT_TENSORFLOW = REFUSE.format(("tensorflow", "tensorflow_serving", "grpc", "keras_sagan"))
LOAD = """
import numpy as np, tensorflow as tf
path, inputs, out = sys.argv[1:]
call = tf.saved_model.load(path).signatures["sample"]
image = call(**{name: tf.constant(value) for name, value in np.load(inputs).items()})["image"]
np.save(out, image.numpy())
"""
SAVED_MODEL_CLI = """
from tensorflow.python.tools.saved_model_cli import main
main()
"""


@pytest.mark.parametrize(
    ("way", "name"),
    [pytest.param("load", "plain", marks=pytest.mark.slow), ("saved_model_cli", "sagan")],
)
def test_the_saved_model_needs_no_keras(way, name, exported, tmp_path):
    model = exported[name]
    request = model.request([0, 7, 2**31 - 1], 2, 0.8)
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, **request)
    if way == "load":
        code = WITHOUT_KERAS + LOAD
        arguments = [model.path, inputs, tmp_path / "image.npy"]
    else:  # in a session, as TensorFlow Serving runs it
        code = WITHOUT_KERAS + SAVED_MODEL_CLI
        arguments = ["run", "--dir", model.path, "--tag_set", "serve", "--signature_def", "sample"]
        arguments += ["--inputs", ";".join(f"{key}={inputs}[{key}]" for key in request)]
        arguments += ["--outdir", tmp_path]
    process = run("-c", code, *arguments)
    assert process.returncode == 0, process.stderr
    expected = model.sample([0, 7, 2**31 - 1], 2, 0.8)
    assert expected.std() > 5  # they are not grey
    check_same_pictures(np.load(tmp_path / "image.npy"), expected)


@pytest.mark.parametrize("name", MODELS)
def test_warmup_requests_draw_pictures(name, exported):
    """Replayed on a server that loads no model if it refuses one of them."""
    model, seen = exported[name], []
    expected = model.sample(range(max(BATCH_SIZES)), 0, 1.0)
    assert model.warmup == model.path / "assets.extra" / "tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(str(model.warmup)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "sagan"
        signature = request.model_spec.signature_name
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        size = len(next(iter(inputs.values())))
        seen.append((signature, size))
        answer = Served(exported).predict(name, signature, inputs)
        if signature == "latents":
            expected_latent = latents.numpy_normal(range(size), 8)
            np.testing.assert_allclose(answer["latent"], expected_latent, atol=5e-6)
            continue
        image = answer["image"]
        if signature == "generate":
            of_keras = model.generator(inputs, training=False)
            np.testing.assert_allclose(image, of_keras, atol=1e-4)  # a grey level is 8e-3
        else:
            check_same_pictures(image, expected[:size])
    signatures = ["attend", "generate", "latents", "sample", "serving_default"]
    assert sorted(seen) == [(key, size) for key in signatures for size in BATCH_SIZES]
