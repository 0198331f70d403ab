"""Adam, as GANs use it."""

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
