"""The signatures that the SavedModel and the TF Lite files have."""

import keras
import tensorflow as tf
from keras import ops

from keras_sagan.models import with_attention_maps
from keras_sagan.sampling import latents
from keras_sagan.sampling.inference import float32_policy
from keras_sagan.sampling.sampler import to_uint8

SIGNATURES = ("generate", "sample", "attend", "latents")


def write_signatures(generator, path, batch_size=None, num_classes=None):
    """Writes a SavedModel with four signatures on the same weights.

    - `generate(latent float32 (batch, latent_dim), label int32 (batch,))` gives `image` float32
      (batch, height, width, 3) in [-1, 1].
    - `sample(seed int32 (batch,), label int32 (batch,), truncation float32 (batch,))` gives
      `image` uint8 (batch, height, width, 3), the picture of `GAN.sample`. It is
      `serving_default`.
    - `attend(seed, label, truncation)` gives that `image` and, by the name of each attention
      layer, its map float32 (batch, queries, keys).
    - `latents(seed, truncation)` gives the `latent` that `sample` makes of a seed. GPU delegates
      leave its integers to the CPU: so a device calls it there, and `generate` on the GPU.

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
    by_latent = {"latent": ((batch_size, latent_dim), "float32"), **label}
    # Not a number: LiteRT on Arm crashes over an input without dimensions (all versions to 2.3),
    # and TensorFlow Serving batches none.
    truncation = ((batch_size,), "float32")
    by_seed = {"seed": ((batch_size,), "int32"), **label, "truncation": truncation}

    def outputs_of(model):
        """A function of latents and labels that gives the outputs of a model by name."""

        @tf.function(autograph=False)  # so that it is in the file once
        def call(latent, labels):
            known = 1.0
            if batch_size is not None and num_classes is not None:
                labels, known = _known(labels, num_classes)
            outputs = model({"latent": latent, **dict.fromkeys(label, labels)}, training=False)
            outputs = dict(outputs) if isinstance(outputs, dict) else {"output": outputs}
            return {"image": outputs.pop("output") * known, **outputs}

        return call

    def latent_of(request):
        factor = ops.reshape(request["truncation"], (-1, 1))
        return latents.normal(request["seed"], latent_dim) * factor

    def drawing(outputs_of_latent):
        def call(request):
            outputs = outputs_of_latent(latent_of(request), request.get("label"))
            return {**outputs, "image": to_uint8(outputs["image"])}

        return call

    archive = keras.export.ExportArchive()

    def add(name, inputs, call):
        def checked(request):
            return call(_checked(request, num_classes) if batch_size is None else request)

        # One dictionary argument of tensors, which keep their names in the file.
        specs = {key: tf.TensorSpec(*spec, name=key) for key, spec in inputs.items()}
        archive.add_endpoint(name, checked, [specs])

    pictures = outputs_of(generator)
    add("sample", by_seed, drawing(pictures))  # the first is the default
    add("attend", by_seed, drawing(outputs_of(with_maps)))
    add("generate", by_latent, lambda request: pictures(request["latent"], request.get("label")))
    latents_by = {name: by_seed[name] for name in ("seed", "truncation")}
    add("latents", latents_by, lambda request: {"latent": latent_of(request)})
    archive.write_out(path, verbose=False)


def _checked(request, num_classes):
    """Returns the inputs of a signature, or fails with a message that names the wrong one."""
    (first, given), *others = request.items()
    count = tf.shape(given)[0]
    checks = [
        tf.debugging.assert_equal(
            tf.shape(value)[0], count, f"{name} must have one value for each {first}"
        )
        for name, value in others
    ]
    if "seed" in request:
        checks += [
            tf.debugging.assert_non_negative(request["seed"], "seed must be from 0 to 2147483647"),
            tf.debugging.Assert(
                tf.reduce_all(tf.math.is_finite(request["truncation"])),
                ["truncation must be a finite number"],
            ),
        ]
    if num_classes is not None and "label" in request:
        last, label = num_classes - 1, request["label"]
        message = f"label must be from 0 to {last}"
        checks += [
            tf.debugging.assert_non_negative(label, message),
            tf.debugging.assert_less_equal(label, last, message),
        ]
    with tf.control_dependencies(checks):  # or another operation may fail first
        return {name: tf.identity(value) for name, value in request.items()}


def _known(label, num_classes):
    """Returns labels that are classes, and a factor of the pictures: 0 where they were not.

    In floating point, which overflows nowhere and which all devices have.
    """
    value = ops.cast(label, "float32")
    nearest = ops.minimum(ops.maximum(value, 0.0), num_classes - 1.0)
    wrong = ops.minimum(ops.absolute(value - nearest), 1.0)
    return ops.cast(nearest, "int32"), ops.reshape(1.0 - wrong, (-1, 1, 1, 1))
