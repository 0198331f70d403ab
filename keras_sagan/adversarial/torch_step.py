"""Training on PyTorch: gradients by `torch.autograd.grad`, of what each loss needs and no more."""

import contextlib

import torch
from keras import ops

from keras_sagan.adversarial.step import AdversarialStep


class Step(AdversarialStep):
    """`train_step` and `test_step` of Keras's PyTorch trainer, on one device."""

    jit_by_default = False

    @torch.no_grad()
    def train_step(self, data):
        return self._step_on(data)

    @torch.no_grad()
    def test_step(self, data):
        return self._evaluate_on(data)

    def _minimize(self, loss, model, optimizer):
        variables = model.trainable_variables
        with torch.enable_grad():
            results = loss()
            scaled = optimizer.scale_loss(results[0])
            weights = [variable.value for variable in variables]
            gradients = torch.autograd.grad(scaled, weights, allow_unused=True)
        optimizer.apply(gradients, variables)
        return [result.detach() for result in results]

    def _input_gradient(self, function, inputs):
        with torch.enable_grad():
            if not inputs.requires_grad:
                inputs = inputs.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(ops.sum(function(inputs)), inputs, create_graph=True)
        return gradient

    def _strategy_scope(self):
        return contextlib.nullcontext()

    def _synchronize(self):
        """Nothing is to be done: steps change the variables themselves."""
