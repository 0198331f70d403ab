"""Gradients on every backend."""

import keras


def gradients_of(function, tensors):
    """Of a scalar function of tensors, by each of them. Within itself, of a gradient."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(jax.grad(function, argnums=tuple(range(len(tensors)))))(*tensors)
    if keras.backend.backend() == "torch":
        import torch

        within = torch.is_grad_enabled()
        with torch.enable_grad():
            if not within:
                tensors = [tensor.detach().requires_grad_() for tensor in tensors]
            return torch.autograd.grad(function(*tensors), tensors, create_graph=within)
    import tensorflow as tf

    @tf.function
    def gradients(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        return [tf.convert_to_tensor(g) for g in tape.gradient(value, tensors)]

    return gradients(*tensors)


def training_call(layer, x, upstream, **call_arguments):
    """Outputs of a training call, and the gradients of their product with `upstream`.

    Returns:
        Outputs, gradient by the inputs, gradient by the layer's kernel, in NumPy.
    """
    x, upstream = (keras.ops.convert_to_tensor(array, "float32") for array in (x, upstream))
    if not layer.built:
        layer.build(x.shape)
    wrapped = getattr(layer, "layer", layer)
    others = [v for v in layer.variables if v is not wrapped.kernel]

    def product(x, kernel):
        values = [(wrapped.kernel, kernel), *((v, keras.ops.convert_to_tensor(v)) for v in others)]
        with keras.StatelessScope(values):
            return keras.ops.sum(layer(x, **call_arguments) * upstream)

    found = gradients_of(product, [x, keras.ops.convert_to_tensor(wrapped.kernel)])
    outputs = layer(x, **call_arguments)
    return tuple(keras.ops.convert_to_numpy(array) for array in (outputs, *found))
