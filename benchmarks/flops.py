"""Floating-point operations of the networks and of a training step, counted.

The rule: multiplications and additions of convolutions, dense layers and attention, two for each
weight that meets a value, as they are executed. So a convolution fused with up- or downsampling
counts its one 4x4 kernel and not the 3x3 convolution of the full map that it equals, products with
padding do not count, and neither does what blocks of attention compute once more for the gradient.
Norms, activations, power iterations and optimizers are left out: they are a small part, and less
counted is a lower share of the machine's ceiling.
"""

import functools

import keras

from keras_sagan.layers import (
    DownsampleConv2D,
    FullAttention2D,
    SelfAttention2D,
    SpectralNorm,
    UpsampleConv2D,
)


def forward(model):
    """Returns the operations of a functional model's forward pass a picture, layer by layer.

    Args:
        model: A functional `keras.Model`.

    Returns:
        List of (layer name, operations), first to last.
    """
    uses = []
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            count = _operations(
                node.operation,
                node.input_tensors[0].shape if node.input_tensors else None,
                node.outputs[0].shape,
            )
            if count:
                uses.append((node.operation.name, count))
    return uses


def step(generator, discriminator, batch):
    """Returns the operations of a training step: one update of each network.

    The gradient of a layer costs its forward pass once for the weights and once for the inputs.

    - Discriminator: `batch` fakes are drawn, without gradient; it sees them and `batch` real
      pictures, with the gradient of its weights, for which its first layer needs no gradient of
      the pictures.
    - Generator: `batch` fakes are drawn; the discriminator sees them, with the gradient of its
      inputs alone; the generator has the gradient of its weights, and its first layer none of the
      latents.
    """
    g, d = forward(generator), forward(discriminator)
    g_sum, d_sum = sum(count for _, count in g), sum(count for _, count in d)
    d_update = g_sum + 2 * (3 * d_sum - d[0][1])
    g_update = g_sum + d_sum + d_sum + 2 * g_sum - g[0][1]
    return batch * (d_update + g_update)


def _operations(layer, inputs, outputs):
    """Operations of a layer from the shape of its inputs to that of its outputs."""
    if isinstance(layer, SpectralNorm):
        return _operations(layer.layer, inputs, outputs)
    if isinstance(layer, SelfAttention2D):
        return _attention(layer, inputs)
    if isinstance(layer, FullAttention2D):
        return _full_attention(layer, inputs, outputs)
    if isinstance(layer, keras.layers.Dense):
        return 2 * inputs[-1] * layer.units
    if isinstance(layer, (keras.layers.Conv2DTranspose, UpsampleConv2D)):
        # The mirror of a convolution from the outputs to the inputs.
        return _convolution(layer, outputs, inputs)
    if isinstance(layer, (keras.layers.Conv2D, DownsampleConv2D)):
        return _convolution(layer, inputs, outputs)
    return 0


def _convolution(layer, large, small):
    kernel, strides, padding = (4, 4), (2, 2), "same"  # of the resampling convolutions
    if isinstance(layer, keras.layers.Conv2D | keras.layers.Conv2DTranspose):
        kernel, strides, padding = layer.kernel_size, layer.strides, layer.padding
    count = 2 * large[-1] * small[-1]
    for axis in range(2):
        count *= _meetings(large[1 + axis], small[1 + axis], kernel[axis], strides[axis], padding)
    return count


@functools.cache
def _meetings(large, small, kernel, stride, padding):
    """How often a value meets a weight along one axis, padding left out."""
    before = max((small - 1) * stride + kernel - large, 0) // 2 if padding == "same" else 0
    return sum(
        0 <= i * stride + tap - before < large for i in range(small) for tap in range(kernel)
    )


def _attention(layer, inputs):
    _, height, width, channels = inputs
    queries = height * width
    keys = -(-height // layer.pool_size) * -(-width // layer.pool_size)
    key_channels = channels // layer.key_reduction
    value_channels = channels // layer.value_reduction
    count = 2 * queries * channels * (2 * key_channels + value_channels)
    count += 2 * queries * keys * (key_channels + value_channels)
    if layer.output_projection:
        count += 2 * queries * value_channels * channels
    return count


def _full_attention(layer, inputs, outputs):
    _, height, width, filters = outputs
    key_channels = inputs[-1] // layer.key_reduction
    count = 2 * (height * width) ** 2 * (key_channels + filters)
    for part in (layer.query, layer.key, layer.value, layer.conv):
        of_part = (*outputs[:-1], getattr(part, "layer", part).filters)
        count += _operations(part, inputs, of_part)
    return count
