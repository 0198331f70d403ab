"""Spectral normalisation as a reparametrisation of the wrapped layer's kernel."""

import inspect

import keras
from keras import ops

_AXES = ("output", "first")


@keras.saving.register_keras_serializable(package="keras_sagan")
class SpectralNorm(keras.layers.Wrapper):
    """Runs a layer with `W / sigma(W)` in place of its kernel `W`.

    `sigma(W)` is the largest singular value of the kernel taken as a matrix over its output
    channels (see `axis`), estimated by power iteration: with a stored unit vector `u`,
    `v = W u / |W u|`, `u = W' v / |W' v|`, `sigma = v' W u`. The variable that is trained stays
    the raw `W`, and the gradient flows through `sigma` (eq. 12 of the paper), with `u` and `v`
    held constant. A call with `training=True` stores the new `u`, unless this layer or the wrapped
    one is frozen (`trainable=False`); no other call changes state. All of it runs in float32, and
    the kernel is then rounded to its dtype.

    A kernel of zeros, which has no direction, is not divided: its `sigma` counts as 1, so that
    the gradient is that of the wrapped layer by itself, and `u` stays as it is until there is a
    direction. (Dividing by `sigma + epsilon` would be finite too, but its gradient 1 / epsilon
    times as large.)

    (`keras.layers.SpectralNormalization` overwrites the kernel with its normalised value in the
    forward pass, which loses `W` and makes the gradient that of a projection.)

    Args:
        layer: A layer with a `kernel` or `embeddings` variable: `Dense`, `Conv1D` to `Conv3D`,
            their transposed forms, `Embedding`, `UpsampleConv2D`, `DownsampleConv2D`.
        power_iterations: Power iterations a call, at least 1.
        epsilon: Norms up to this count as 0.
        axis: The axis of the kernel along which `u` lies, all others being the matrix's other
            side. "output" is that of the output channels, and the length of an embedding; "first"
            the one that PyTorch's layout puts first, which is another for transposed convolutions
            (input channels: another matrix, with another sigma) and for embeddings (classes: the
            same sigma, another `u`). Most PyTorch code takes the first axis of either.
        scale: Whether the normalised kernel is multiplied by a trained scalar, which starts at 1
            (Miyato et al., appendix E).
        **kwargs: `name` (the wrapped layer's by default) and `trainable`.

    Call arguments:
        inputs: What the wrapped layer takes.
        training: Whether to store the new `u`.

    Raises:
        ValueError: `power_iterations` below 1, another axis, or a layer without such a variable.

    Example:

    >>> layer = keras_sagan.layers.SpectralNorm(keras.layers.Conv2D(64, 3, padding="same"))
    >>> layer(images, training=True).shape
    (16, 32, 32, 64)

    Reference:
        Miyato et al., Spectral Normalization for Generative Adversarial Networks, ICLR 2018
        (arXiv:1802.05957), eq. 10 to 12 and algorithm 1.
    """

    def __init__(
        self, layer, power_iterations=1, epsilon=1e-12, axis="output", scale=False, **kwargs
    ):
        if power_iterations < 1:
            raise ValueError(f"power_iterations must be at least 1, got {power_iterations}")
        if axis not in _AXES:
            raise ValueError(f"axis must be one of {_AXES}, got {axis!r}")
        kwargs.setdefault("name", layer.name)
        # The estimate always runs in float32; without autocasting, inputs reach the wrapped
        # layer as they are, and that layer follows its own dtype policy.
        kwargs["dtype"] = "float32"
        super().__init__(layer, autocast=False, **kwargs)
        self.power_iterations = power_iterations
        self.epsilon = epsilon
        self.axis = axis
        self.scale = scale

    def build(self, input_shape=None):
        super().build(input_shape)
        self._takes_training = "training" in inspect.signature(self.layer.call).parameters
        kernel = self.kernel_variable()
        axis = self._channel_axis()
        self.u = self.add_weight(
            name="u",
            shape=(1, kernel.shape[axis]),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            trainable=False,
            dtype="float32",
            # Every replica computes the same update; this keeps the copies equal to the bit.
            aggregation="only_first_replica",
        )
        if self.scale:
            self.factor = self.add_weight(
                name="factor", shape=(), initializer="ones", dtype="float32"
            )

    def call(self, inputs, training=False):
        variable = self.kernel_variable()
        kernel = ops.convert_to_tensor(variable)
        sigma, u = self._sigma(kernel)
        if training and self.trainable and variable.trainable:
            self.u.assign(u)
        others = [v for v in self.layer.variables if v is not variable]
        arguments = {"training": training} if self._takes_training else {}

        def call(inputs, kernel, sigma, *values):
            # The scope hides the raw value from the wrapped layer; the other variables are passed
            # along because values of an enclosing scope (JAX training) are not seen from inside.
            # For the same reason what the layer adds to the loss is handed on.
            values = [(variable, _divided(kernel, sigma)), *zip(others, values, strict=True)]
            with keras.StatelessScope(state_mapping=values, collect_losses=True) as scope:
                return self.layer(inputs, **arguments), *scope.losses

        tensors = (inputs, self._scaled(kernel), sigma, *(ops.convert_to_tensor(v) for v in others))
        if training and keras.backend.backend() == "tensorflow":
            from keras_sagan.layers.kernels.recompute import recomputed

            outputs, *losses = recomputed(call, *tensors)
        else:
            outputs, *losses = call(*tensors)
        self.add_loss(losses)
        return outputs

    def normalized_kernel(self):
        """Returns `W / sigma(W)`, in the shape and dtype of the kernel."""
        kernel = ops.convert_to_tensor(self.kernel_variable())
        return _divided(self._scaled(kernel), self._sigma(kernel)[0])

    def get_config(self):
        config = super().get_config()
        config.update(
            power_iterations=self.power_iterations,
            epsilon=self.epsilon,
            axis=self.axis,
            scale=self.scale,
        )
        return config

    def kernel_variable(self):
        """Returns the variable of the wrapped layer that is normalised."""
        for name in ("kernel", "embeddings"):
            variable = getattr(self.layer, name, None)
            if isinstance(variable, keras.Variable):
                return variable
        raise ValueError(
            f"SpectralNorm needs a layer with a `kernel` or `embeddings` variable; "
            f"{type(self.layer).__name__} has neither"
        )

    def _channel_axis(self):
        transposed = (
            keras.layers.Conv1DTranspose,
            keras.layers.Conv2DTranspose,
            keras.layers.Conv3DTranspose,
        )
        if self.axis == "first":
            return 0 if hasattr(self.layer, "embeddings") else -1
        return -2 if isinstance(self.layer, transposed) else -1

    def _sigma(self, kernel):
        """Returns sigma and the vector `u` after the power iterations."""
        matrix = ops.swapaxes(ops.cast(kernel, "float32"), self._channel_axis(), -1)
        matrix = ops.reshape(matrix, (-1, matrix.shape[-1]))
        constant = ops.stop_gradient(matrix)
        u = ops.convert_to_tensor(self.u)
        for _ in range(self.power_iterations):
            v = self._unit(ops.matmul(u, ops.transpose(constant)), 0.0)
            u = self._unit(ops.matmul(v, constant), u)
        sigma = ops.sum(ops.matmul(v, matrix) * u)
        return ops.where(sigma > self.epsilon, sigma, 1.0), u

    def _scaled(self, kernel):
        if not self.scale:
            return kernel
        return kernel * ops.cast(self.factor, kernel.dtype)

    def _unit(self, x, otherwise):
        """The unit vector of a direction; `otherwise` where there is none."""
        norm = ops.sqrt(ops.sum(ops.square(x)))
        return ops.where(norm > self.epsilon, x / ops.maximum(norm, self.epsilon), otherwise)


def _divided(kernel, sigma):
    # Not sigma rounded to float16, which may be 0.
    dtype = keras.backend.result_type(kernel.dtype, "float32")
    return ops.cast(ops.cast(kernel, dtype) / ops.cast(sigma, dtype), kernel.dtype)
