"""A generator as a SavedModel, for TensorFlow Serving."""

from keras import layers

from keras_sagan.exporting.signatures import write_signatures
from keras_sagan.layers import UpsampleConv2D
from keras_sagan.models import named_generator
from keras_sagan.sampling.inference import copied, inference_model, rebuilt, with_weights


def write_saved_model(generator, path):
    """Writes a SavedModel with the signatures of `write_signatures`, for any batch size.

    Args:
        generator: A trained generator, of any kind that `GAN` takes, which stays as it is.
        path: Folder to write.
    """
    model = rebuilt(inference_model(named_generator(generator)), _transposed)
    write_signatures(model, path, num_classes=getattr(generator, "num_classes", None))


def _transposed(layer, *args, **kwargs):
    """The kernel of an up-convolution as it computes, instead of made anew at every call."""
    if type(layer) is not UpsampleConv2D or layer.data_format != "channels_last":
        return copied(layer, *args, **kwargs)
    conv = layers.Conv2DTranspose(
        layer.filters,
        4,
        2,
        "same",
        data_format="channels_last",
        use_bias=layer.use_bias,
        name=layer.name,
    )
    return with_weights(conv, [layer.transposed_kernel(), *layer.get_weights()[1:]], *args)
