"""The three signatures that the SavedModel and the TF Lite files have."""

import keras
import tensorflow as tf
from keras import ops

from keras_sagan.models import with_attention_maps
from keras_sagan.sampling import latents
from keras_sagan.sampling.inference import float32_policy
from keras_sagan.sampling.sampler import to_uint8

SIGNATURES = ("generate", "sample", "attend")


def write_signatures(generator, path, batch_size=None):
    """Writes a SavedModel with three signatures on the same weights.

    - `generate(latent float32 (batch, latent_dim), label int32 (batch,))` gives `image` float32
      (batch, height, width, 3) in [-1, 1].
    - `sample(seed int32 (batch,), label int32 (batch,), truncation float32 ())` gives `image`
      uint8 (batch, height, width, 3), the picture of `GAN.sample`. It is `serving_default`. With
      an open batch size truncation may be (batch,) too: TensorFlow Serving batches requests that
      arrive together, and takes no scalar then.
    - `attend(seed, label, truncation)` gives that `image` and, by the name of each attention
      layer, its map float32 (batch, queries, keys).

    Without classes there is no `label`.

    Args:
        generator: A generator, as it is to be written.
        path: Folder to write.
        batch_size: A fixed batch size; None leaves it open.
    """
    with float32_policy():
        with_maps = with_attention_maps(generator)
    latent_dim = generator.input["latent"].shape[1]
    label = {"label": ((batch_size,), "int32")} if "label" in generator.input else {}
    by_latent = _signature({"latent": ((batch_size, latent_dim), "float32"), **label})
    truncation = (None if batch_size is None else (), "float32")
    by_seed = _signature({"seed": ((batch_size,), "int32"), **label, "truncation": truncation})

    def inputs_of(request):
        truncation = ops.reshape(request["truncation"], (-1, 1))
        latent = latents.normal(request["seed"], latent_dim) * truncation
        return {"latent": latent, **{name: request[name] for name in label}}

    def generate(request):
        return {"image": generator(request, training=False)}

    def sample(request):
        return {"image": to_uint8(generator(inputs_of(request), training=False))}

    def attend(request):
        outputs = with_maps(inputs_of(request), training=False)
        return {"image": to_uint8(outputs.pop("output")), **outputs}

    archive = keras.export.ExportArchive()
    archive.track(with_maps)
    archive.add_endpoint("generate", generate, input_signature=by_latent)
    archive.add_endpoint("sample", sample, input_signature=by_seed)
    archive.add_endpoint("attend", attend, input_signature=by_seed)
    archive.add_endpoint("serving_default", sample, input_signature=by_seed)
    archive.write_out(path, verbose=False)


def _signature(inputs):
    """One dictionary argument of tensors (shape, dtype), which keep their names in the file."""
    return [{name: tf.TensorSpec(*spec, name=name) for name, spec in inputs.items()}]
