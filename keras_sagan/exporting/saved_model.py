"""A generator as a SavedModel."""

import keras
import tensorflow as tf

from keras_sagan.layers import SpectralNorm


def fold_spectral_norm(model):
    """Divides the kernels of a model by their sigma, in place: see `SpectralNorm.fold`."""
    for layer in model._flatten_layers():
        if isinstance(layer, SpectralNorm):
            layer.fold()


def write_saved_model(generator, path, batch_size=None):
    """Writes a SavedModel with the signature `generate`, which is also `serving_default`.

    `generate(latent float32 (batch, latent_dim), label int32 (batch,))` gives `{"image": float32
    (batch, height, width, 3) in [-1, 1]}`. Without classes there is no label.

    Args:
        generator: A generator whose spectral norm is folded.
        path: Folder to write.
        batch_size: A fixed batch size; None leaves it open.
    """
    signature = {
        name: tf.TensorSpec((batch_size, *tensor.shape[1:]), tensor.dtype, name=name)
        for name, tensor in generator.input.items()
    }

    def generate(inputs):
        return {"image": generator(inputs, training=False)}

    archive = keras.export.ExportArchive()
    archive.track(generator)
    archive.add_endpoint("generate", generate, input_signature=[signature])
    archive.add_endpoint("serving_default", generate, input_signature=[signature])
    archive.write_out(path, verbose=False)
