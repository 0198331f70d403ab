"""Layers of a SAGAN, usable in any Keras model and on any Keras backend."""

from keras_sagan.layers.batch_norm import BatchNorm
from keras_sagan.layers.conditional_batch_norm import ConditionalBatchNorm
from keras_sagan.layers.convolution import Conv2D, Conv2DTranspose
from keras_sagan.layers.full_attention import FullAttention2D
from keras_sagan.layers.resampling_conv import DownsampleConv2D, UpsampleConv2D
from keras_sagan.layers.self_attention import SelfAttention2D
from keras_sagan.layers.spectral_norm import SpectralNorm

__all__ = [
    "BatchNorm",
    "ConditionalBatchNorm",
    "Conv2D",
    "Conv2DTranspose",
    "DownsampleConv2D",
    "FullAttention2D",
    "SelfAttention2D",
    "SpectralNorm",
    "UpsampleConv2D",
]
