"""Requests that TensorFlow Serving answers to itself before it takes those of others."""

from pathlib import Path

BATCH_SIZES = (1, 2, 4, 8)  # the allowed_batch_sizes of export/serving/batching.config
_MODEL_NAME = "sagan"  # of export/serving/models.config


def write_warmup(saved_model):
    """Writes `assets.extra/tf_serving_warmup_requests` into a SavedModel.

    TensorFlow optimizes the graph of a signature when it first runs (0.45 s for a generator of
    128 x 128 pictures on two cores) and sets up kernels for each new shape. With these requests,
    one for each signature and batch size, that happens while the model loads, and no client waits
    for it. If the server refuses one, such as for more pictures than its `max_batch_size`, it does
    not load the model.

    Args:
        saved_model: Folder that `write_saved_model` wrote, with an open batch size.

    Returns:
        The path of the file.

    Raises:
        ImportError: tensorflow-serving-api is not installed.

    Reference: https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    import tensorflow as tf
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    folder = Path(saved_model)
    (graph,) = SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs
    # Those that begin with __ are TensorFlow's own, and no client asks for them.
    names = sorted(name for name in graph.signature_def if not name.startswith("__"))
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name in names:
            for batch_size in BATCH_SIZES:
                log = PredictionLog()
                request = log.predict_log.request
                request.model_spec.name = _MODEL_NAME
                request.model_spec.signature_name = name
                for key, info in graph.signature_def[name].inputs.items():
                    value = tf.make_tensor_proto(_value(key, info, batch_size), info.dtype)
                    request.inputs[key].CopyFrom(value)
                writer.write(log.SerializeToString())
    return path


def _value(name, info, batch_size):
    """A value of the input `name` such as clients send."""
    import numpy as np

    if name == "latent":
        latent_dim = info.tensor_shape.dim[1].size
        return np.random.default_rng(0).standard_normal((batch_size, latent_dim))
    if name == "seed":
        return np.arange(batch_size)
    # Label 0, which every model with classes has, and the truncation of training, a picture:
    # a server that batches takes no scalar.
    return {"label": np.zeros, "truncation": np.ones}[name](batch_size)
