"""The three signatures that the SavedModel and the TF Lite files have."""

import keras
import tensorflow as tf
from keras import ops

from keras_sagan.models import with_attention_maps
from keras_sagan.sampling import latents
from keras_sagan.sampling.inference import float32_policy
from keras_sagan.sampling.sampler import to_uint8

SIGNATURES = ("generate", "sample", "attend")


def write_signatures(generator, path, batch_size=None, num_classes=None):
    """Writes a SavedModel with three signatures on the same weights.

    - `generate(latent float32 (batch, latent_dim), label int32 (batch,))` gives `image` float32
      (batch, height, width, 3) in [-1, 1].
    - `sample(seed int32 (batch,), label int32 (batch,), truncation float32 ())` gives `image`
      uint8 (batch, height, width, 3), the picture of `GAN.sample`. It is `serving_default`. With
      an open batch size truncation may be (batch,) too: TensorFlow Serving batches requests that
      arrive together, and takes no scalar then.
    - `attend(seed, label, truncation)` gives that `image` and, by the name of each attention
      layer, its map float32 (batch, queries, keys).

    Without classes there is no `label`. One beyond the classes is an error in a SavedModel. A
    device cannot raise one: there the picture is all of one grey.

    Args:
        generator: A generator, as it is to be written.
        path: Folder to write.
        batch_size: A fixed batch size, for devices; None leaves it open, for servers.
        num_classes: Number of classes; None if there are none, or if nobody tells.
    """
    with float32_policy():
        with_maps = with_attention_maps(generator)
    latent_dim = generator.input["latent"].shape[1]
    label = {"label": ((batch_size,), "int32")} if "label" in generator.input else {}
    by_latent = _signature({"latent": ((batch_size, latent_dim), "float32"), **label})
    truncation = (None if batch_size is None else (), "float32")
    by_seed = _signature({"seed": ((batch_size,), "int32"), **label, "truncation": truncation})

    def call(model, latent, request):
        """The outputs of a model by name, "image" among them."""
        if num_classes is None:
            labels, known = request.get("label"), 1.0
        else:
            labels, known = _known(request["label"], num_classes, raises=batch_size is None)
        inputs = {"latent": latent, **dict.fromkeys(label, labels)}
        outputs = model(inputs, training=False)
        outputs = dict(outputs) if isinstance(outputs, dict) else {"output": outputs}
        return {"image": outputs.pop("output") * known, **outputs}

    def call_by_seed(model, request):
        truncation = ops.reshape(request["truncation"], (-1, 1))
        latent = latents.normal(request["seed"], latent_dim) * truncation
        outputs = call(model, latent, request)
        return {**outputs, "image": to_uint8(outputs["image"])}

    def generate(request):
        return call(generator, request["latent"], request)

    def sample(request):
        return call_by_seed(generator, request)

    def attend(request):
        return call_by_seed(with_maps, request)

    archive = keras.export.ExportArchive()
    archive.track(with_maps)
    archive.add_endpoint("generate", generate, input_signature=by_latent)
    archive.add_endpoint("sample", sample, input_signature=by_seed)
    archive.add_endpoint("attend", attend, input_signature=by_seed)
    archive.add_endpoint("serving_default", sample, input_signature=by_seed)
    archive.write_out(path, verbose=False)


def _known(label, num_classes, raises):
    """Returns labels that are classes, and a factor of the pictures: 0 where they were not.

    In floating point, which overflows nowhere and which all devices have.
    """
    if raises:
        last = num_classes - 1
        message = f"label must be from 0 to {last}"
        checks = [
            tf.debugging.assert_non_negative(label, message),
            tf.debugging.assert_less_equal(label, last, message),
        ]
        with tf.control_dependencies(checks):  # or the lookup may fail first, with another message
            return tf.identity(label), 1.0
    value = ops.cast(label, "float32")
    nearest = ops.minimum(ops.maximum(value, 0.0), num_classes - 1.0)
    wrong = ops.minimum(ops.absolute(value - nearest), 1.0)
    return ops.cast(nearest, "int32"), ops.reshape(1.0 - wrong, (-1, 1, 1, 1))


def _signature(inputs):
    """One dictionary argument of tensors (shape, dtype), which keep their names in the file."""
    return [{name: tf.TensorSpec(*spec, name=name) for name, spec in inputs.items()}]
