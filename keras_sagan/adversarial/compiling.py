"""What `GAN.compile` makes of its arguments."""

import types

import keras

from keras_sagan.adversarial.augmentation import Augmentation
from keras_sagan.adversarial.optimizers import Adam


def two_optimizers(generator_optimizer, discriminator_optimizer):
    """Returns the optimizers that two arguments of `compile` stand for, the paper's for None.

    Raises:
        ValueError: One object for both, or an optimizer that averages.
    """
    optimizers = (
        keras.optimizers.get(generator_optimizer) or Adam(1e-4, beta_1=0.0, beta_2=0.9),
        keras.optimizers.get(discriminator_optimizer) or Adam(4e-4, beta_1=0.0, beta_2=0.9),
    )
    if optimizers[0] is optimizers[1]:
        raise ValueError(
            "generator_optimizer and discriminator_optimizer are one object: make two, as each "
            "remembers things of the weights of its network"
        )
    if any(getattr(each, "inner_optimizer", each).use_ema for each in optimizers):
        raise ValueError("GAN averages by itself: give compile an ema, not optimizers use_ema")
    return optimizers


def with_loss_scale(optimizer, model):
    """Wraps an optimizer, unless it is already, if the model computes in float16."""
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if scaled or "float16" not in {layer.compute_dtype for layer in model._flatten_layers()}:
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


class Rate:
    """The learning rate of an optimizer, by the name of its network, for callbacks to set."""

    def __init__(self, name, optimizer):
        self.name = name
        self._optimizer = optimizer

    @property
    def learning_rate(self):
        return self._optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._optimizer.learning_rate = value


def as_one_optimizer(generator_optimizer, discriminator_optimizer):
    """Returns what Keras finds in the place of its one optimizer.

    JAX carries its `variables` from step to step; callbacks set the rates of its `optimizers`, as
    of a `keras.optimizers.MultiOptimizer`.
    """
    return types.SimpleNamespace(
        built=True,
        iterations=generator_optimizer.iterations,
        variables=[*generator_optimizer.variables, *discriminator_optimizer.variables],
        optimizers=[
            Rate("generator", generator_optimizer),
            Rate("discriminator", discriminator_optimizer),
        ],
    )


def check_names(names):
    """Raises ValueError if one of the arguments is of `keras.Model.compile`, but not for a GAN."""
    if "optimizer" in names:
        raise ValueError(
            "a GAN has two optimizers: give compile generator_optimizer and discriminator_optimizer"
        )
    for name in ("metrics", "weighted_metrics", "loss_weights"):
        if name in names:
            raise ValueError(f"GAN.compile does not take {name}: it reports both losses and logits")


def checked_augmentation(augmentation):
    """Returns it, or raises ValueError if it is neither an `Augmentation` nor None."""
    if augmentation is not None and not isinstance(augmentation, Augmentation):
        raise ValueError(
            "augmentation must be a keras_sagan.augmentation.Augmentation or None; got "
            f"{augmentation!r}"
        )
    return augmentation


def has_batch_statistics(model):
    """Whether a model mixes the images of a batch."""
    return any(
        isinstance(layer, keras.layers.BatchNormalization) for layer in model._flatten_layers()
    )
