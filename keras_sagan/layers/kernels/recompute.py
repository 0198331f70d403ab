"""Memory for time, on TensorFlow."""

import tensorflow as tf


def recomputed(function, *tensors):
    """Calls a function of which nothing but the arguments is kept for the gradient.

    What the gradient needs is computed again from them, and only that: TensorFlow drops what
    nothing uses. (`tf.recompute_grad` copies the arguments and cannot be differentiated twice.)

    Args:
        function: Of tensors, without state.
        *tensors: Its arguments, tensors or variables.

    Returns:
        What the function returns.
    """

    # TensorFlow runs what it can as soon as it can, as the kernels of all layers at the start, and
    # keeps it until it is needed: hence the control dependencies.
    @tf.custom_gradient
    def call(*tensors):
        def gradient(*upstream):
            with tf.control_dependencies(upstream), tf.GradientTape() as tape:
                again = [tf.identity(tensor) for tensor in tensors]
                floating = [tensor for tensor in again if tensor.dtype.is_floating]
                tape.watch(floating)
                outputs = function(*again)
            gradients = iter(tape.gradient(outputs, floating, output_gradients=upstream))
            return [next(gradients) if x.dtype.is_floating else None for x in again]

        with tf.control_dependencies(tensors):
            return function(*tensors), gradient

    return call(*(tf.convert_to_tensor(tensor) for tensor in tensors))
