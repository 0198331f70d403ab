"""Generators in the state that training leaves, without training."""

import keras
import numpy as np

from keras_sagan import models
from keras_sagan.layers import ConditionalBatchNorm
from keras_sagan.sampling import generator_inputs


def trained(family="resnet", num_classes=3, attention=(16,), **options):
    """A small generator whose batch statistics, gains, gammas and sigmas are not as they start."""
    generator = models.FAMILIES[family][0](
        image_size=32,
        num_classes=num_classes,
        latent_dim=8,
        width=8,
        attention=attention,
        **options,
    )
    rng = np.random.default_rng(0)
    for seed in range(3):
        inputs = generator_inputs(generator, range(8 * seed, 8 * seed + 8))
        generator(inputs, training=True)
    for layer in models.attention_layers(generator):
        layer.gamma.assign(0.5)
    for layer in generator._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            mean, variance = layer.moving_mean, layer.moving_variance
            mean.assign(mean + rng.normal(0, 0.1, mean.shape))
            variance.assign(variance * rng.uniform(0.5, 1.5, variance.shape))
            if layer.scale:
                layer.gamma.assign(rng.normal(1, 0.1, mean.shape))
                layer.beta.assign(rng.normal(0, 0.1, mean.shape))
        if isinstance(layer, ConditionalBatchNorm):
            layer.gain.assign(rng.normal(0, 0.1, layer.gain.shape))
            layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
    return generator
