"""Adam, as GANs use it, and warm-up."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_sagan")
class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` that keeps no first moment where beta_1 is 0.

    There it is the gradient itself: the same steps for two thirds of the memory of weights and
    moments. The second moment is float32 there for weights of bfloat16 and float16 too: squares
    of gradients are below what float16 has. Arguments are those of `keras.optimizers.Adam`.

    Example:

    >>> gan.compile(keras_sagan.optimizers.Adam(1e-4, beta_1=0.0, beta_2=0.9))

    Reference:
        Kingma and Ba, Adam: A Method for Stochastic Optimization, ICLR 2015 (arXiv:1412.6980),
        algorithm 1; with its beta_1 = 0, Heusel et al. (arXiv:1706.08500) and after them SAGAN.
    """

    def build(self, variables):
        if self.built or not self._follows_the_gradient():
            return super().build(variables)
        keras.optimizers.Optimizer.build(self, variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient, variable, learning_rate):
        if not self._follows_the_gradient():
            return super().update_step(gradient, variable, learning_rate)
        velocity = self._velocities[self._get_variable_index(variable)]
        rate, beta_2, steps, gradient = (
            ops.cast(value, velocity.dtype)
            for value in (learning_rate, self.beta_2, self.iterations + 1, gradient)
        )
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - beta_2))
        rate = rate * ops.sqrt(1 - ops.power(beta_2, steps))
        step = gradient * rate / (ops.sqrt(velocity) + self.epsilon)
        self.assign_sub(variable, ops.cast(step, variable.dtype))

    def add_variable(self, shape, *args, dtype=None, **kwargs):
        if dtype in ("bfloat16", "float16") and self._follows_the_gradient():
            dtype = "float32"
        return super().add_variable(shape, *args, dtype=dtype, **kwargs)

    def _follows_the_gradient(self):
        return self.beta_1 == 0 and not self.amsgrad


@keras.saving.register_keras_serializable(package="keras_sagan")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly from 0, and then follows a schedule from its beginning.

    (Of Keras's schedules `CosineDecay` alone has a warm-up.)

    Args:
        learning_rate: What comes after: a rate, or a `LearningRateSchedule`.
        steps: Updates that the rise takes, at least 1. Update number `steps`, counted from 0, is
            the first at the full rate.

    Example:

    >>> decay = keras.optimizers.schedules.PolynomialDecay(1e-4, 90_000, end_learning_rate=0)
    >>> gan.compile(keras_sagan.optimizers.Adam(keras_sagan.optimizers.WarmUp(decay, 1000)))

    Reference:
        Goyal et al., Accurate, Large Minibatch SGD (arXiv:1706.02677), section 2.2.
    """

    def __init__(self, learning_rate, steps):
        super().__init__()
        self.learning_rate = learning_rate
        self.steps = steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rate = self.learning_rate
        if callable(rate):
            rate = rate(ops.maximum(step - self.steps, 0.0))
        return rate * ops.minimum(step / self.steps, 1.0)

    def get_config(self):
        rate = keras.saving.serialize_keras_object(self.learning_rate)
        return {"learning_rate": rate, "steps": self.steps}

    @classmethod
    def from_config(cls, config):
        rate = keras.saving.deserialize_keras_object(config["learning_rate"])
        return cls(rate, config["steps"])
