"""Training on JAX: a pure function of the state, gradients by `jax.grad`.

Under a `keras.distribution` a batch is one array over all devices. Nothing here knows of replicas
then: batch statistics, and the averages of the relativistic loss, are those of the whole batch.
"""

import contextlib

import jax
import keras
from keras import ops

from keras_sagan.adversarial.step import AdversarialStep


class Step(AdversarialStep):
    """`train_step` and `test_step` of Keras's JAX trainer.

    Its code is that of every backend, run in a `keras.StatelessScope` on the values of the state;
    what it assigns is the new state.
    """

    jit_by_default = "auto"

    def train_step(self, state, data):
        groups = (
            self.trainable_variables,
            self.non_trainable_variables,
            self.optimizer.variables,
            self.metrics_variables,
        )
        return self._with_state(groups, state, self._step_on, data)

    def test_step(self, state, data):
        groups = (self.trainable_variables, self.non_trainable_variables, self.metrics_variables)
        return self._with_state(groups, state, self._evaluate_on, data)

    def _with_state(self, groups, state, function, data):
        mapping = [
            pair
            for variables, values in zip(groups, state, strict=True)
            for pair in zip(variables, values, strict=True)
        ]
        with keras.StatelessScope(mapping):
            logs = function(data)
            state = tuple(_values(variables) for variables in groups)
        return logs, state

    def _minimize(self, loss, model, optimizer):
        variables = model.trainable_variables
        # A scope hides the values of the one around it, so this one gets all that `loss` may read.
        readable = (*self.variables, *optimizer.variables)
        mapping = [(variable, variable.value) for variable in readable]

        def scaled_loss(values):
            mapped = [*mapping, *zip(variables, values, strict=True)]
            with keras.StatelessScope(mapped, collect_losses=True):
                results = loss()
                scaled = optimizer.scale_loss(results[0])
                return scaled, (results, _values(self.non_trainable_variables))

        gradient = jax.grad(scaled_loss, has_aux=True)
        gradients, (results, state) = gradient(_values(variables))
        _assign(self.non_trainable_variables, state)
        weights, state = optimizer.stateless_apply(
            _values(optimizer.variables), gradients, _values(variables)
        )
        _assign(variables, weights)
        _assign(optimizer.variables, state)
        return results

    def _input_gradient(self, function, inputs):
        return jax.grad(lambda x: ops.sum(function(x)))(inputs)

    def _strategy_scope(self):
        return contextlib.nullcontext()

    def _synchronize(self):
        self.jax_state_sync()


def _values(variables):
    return [variable.value for variable in variables]


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
