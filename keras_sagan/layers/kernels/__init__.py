"""How layers compute: a table of operations, in two implementations, and one choice between them.

    operation       what it is                                   reference          cpu
    conv            "same" convolution                           keras.ops          cpu_convolution
    conv_transpose  "same" transposed convolution                keras.ops          cpu_convolution
    attention       softmax(query key') value, maybe in blocks   attention          cpu_attention
    batch_norm      by the statistics of a batch                 fused operation    the same

`reference` is plain Keras and TensorFlow, for every device and backend. `cpu` gives the same
numbers faster where TensorFlow runs on CPUs, above all for gradients; so convolutions take it in
training alone. Without training no operation has a gradient of its own making: a graph that is
exported would keep it. `auto` is `cpu` on machines that have no other devices (see `device.py`),
`reference` everywhere else. Functions that TensorFlow has traced keep what was chosen then.
"""

import contextlib

import keras
from keras import ops

from keras_sagan.layers.kernels import reference

CHOICES = ("auto", "reference", "cpu")
OPERATIONS = ("conv", "conv_transpose", "attention", "batch_norm")

# One for the process, not for the thread: tf.distribute traces replicas in threads of its own.
_chosen = dict.fromkeys(OPERATIONS, "auto")


@contextlib.contextmanager
def use(choice, *operations):
    """Chooses the implementation of operations within a `with`.

    Args:
        choice: One of `CHOICES`; "cpu" needs the TensorFlow backend.
        *operations: Of `OPERATIONS`; all unless named.

    Raises:
        ValueError: Another choice or operation.
    """
    if choice not in CHOICES:
        raise ValueError(f"kernels must be one of {', '.join(CHOICES)}, got {choice!r}")
    if unknown := set(operations) - set(OPERATIONS):
        raise ValueError(f"operations are {', '.join(OPERATIONS)}; got {', '.join(unknown)}")
    before = dict(_chosen)
    _chosen.update(dict.fromkeys(operations or OPERATIONS, choice))
    try:
        yield
    finally:
        _chosen.update(before)


def conv(inputs, kernel, stride=1, training=False):
    """A "same" convolution.

    Args:
        inputs: (batch, height, width, channels).
        kernel: (size, size, channels, filters).
        stride: A number.
        training: Whether gradients will follow.

    Returns:
        (batch, height / stride, width / stride, filters), rounded up.
    """
    module = _implementation("conv") if training else reference
    return module.conv(inputs, ops.convert_to_tensor(kernel), stride)


def conv_transpose(inputs, kernel, stride=2, training=False):
    """A "same" transposed convolution, which is the gradient of `conv` by its inputs.

    Args:
        inputs: (batch, height, width, filters).
        kernel: (size, size, channels, filters).
        stride: A number.
        training: Whether gradients will follow.

    Returns:
        (batch, stride height, stride width, channels).
    """
    module = _implementation("conv_transpose") if training else reference
    return module.conv_transpose(inputs, ops.convert_to_tensor(kernel), stride)


def attention(query, key, value, block=None, training=False):
    """Returns `softmax(query key') value`, all queries at once or a block at a time.

    Args:
        query: (batch, queries, key channels).
        key: (batch, keys, key channels).
        value: (batch, keys, value channels).
        block: Queries at a time, for memory linear in their number, which must be known; or None.
        training: Whether gradients will follow, which are to be linear in memory too.

    Returns:
        (batch, queries, value channels).
    """
    return _implementation("attention").attention(query, key, value, block, training)


def batch_norm(inputs, gain, bias, epsilon):
    """Normalises (batch, height, width, channels) by the batch, on TensorFlow.

    Args:
        inputs: The features.
        gain: (channels,), or None.
        bias: (channels,), or None.
        epsilon: Added to the variance.

    Returns:
        The normalised features, and their mean and variance, (channels,) float32.
    """
    return _implementation("batch_norm").batch_norm(inputs, gain, bias, epsilon)


def _implementation(operation):
    """The module that an operation is to be taken from."""
    choice = _chosen[operation]
    if choice == "auto":
        if keras.backend.backend() != "tensorflow":
            return reference
        from keras_sagan.layers.kernels.device import has_only_cpus

        choice = "cpu" if has_only_cpus() else "reference"
    if choice == "reference":
        return reference
    from keras_sagan.layers.kernels import cpu

    return cpu
