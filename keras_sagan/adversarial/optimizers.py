"""Adam, as GANs use it."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_sagan")
class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` that keeps no first moment where beta_1 is 0.

    There it is the gradient itself: the same steps for two thirds of the memory of weights and
    moments. Arguments are those of `keras.optimizers.Adam`.

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
        rate, beta_2, steps = (
            ops.cast(value, variable.dtype)
            for value in (learning_rate, self.beta_2, self.iterations + 1)
        )
        gradient = ops.cast(gradient, variable.dtype)
        velocity = self._velocities[self._get_variable_index(variable)]
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - beta_2))
        rate = rate * ops.sqrt(1 - ops.power(beta_2, steps))
        self.assign_sub(variable, gradient * rate / (ops.sqrt(velocity) + self.epsilon))

    def _follows_the_gradient(self):
        return self.beta_1 == 0 and not self.amsgrad
