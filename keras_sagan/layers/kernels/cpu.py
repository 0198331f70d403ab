"""The implementations for CPUs, on TensorFlow."""

from keras_sagan.layers.kernels.cpu_attention import attention
from keras_sagan.layers.kernels.cpu_convolution import conv, conv_transpose
from keras_sagan.layers.kernels.reference import batch_norm

__all__ = ["attention", "batch_norm", "conv", "conv_transpose"]
