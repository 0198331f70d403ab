"""Adversarial losses, each a pair: what the discriminator and what the generator minimises.

All take logits (batch, 1) and give a scalar, the mean over the batch.
"""

import dataclasses
from collections.abc import Callable

import keras
from keras import ops

from keras_sagan.adversarial.regularizers import GradientPenalty
from keras_sagan.errors import did_you_mean

# Files name functions, which lambdas have no name for.
_registered = keras.saving.register_keras_serializable(package="keras_sagan")


@_registered
@dataclasses.dataclass(frozen=True)
class AdversarialLoss:
    """A discriminator's and a generator's loss.

    It is saved with a `GAN` if its functions are registered with Keras
    (`keras.saving.register_keras_serializable`).

    Args:
        discriminator: Function of (real logits, fake logits).
        generator: Function of (real logits, fake logits); the real ones are None unless
            `relativistic`.
        relativistic: Whether the generator's loss looks at the real logits.
        regularizers: The `Regularizer`s that belong to it.
    """

    discriminator: Callable
    generator: Callable
    relativistic: bool = False
    regularizers: tuple = ()

    def get_config(self):
        return {
            field.name: keras.saving.serialize_keras_object(getattr(self, field.name))
            for field in dataclasses.fields(self)
        }

    @classmethod
    def from_config(cls, config):
        values = {
            name: keras.saving.deserialize_keras_object(value) for name, value in config.items()
        }
        return cls(**{**values, "regularizers": tuple(values["regularizers"])})


@_registered
def _negative_fake_logits(real, fake):
    return -ops.mean(fake)


@_registered
def _hinge_of_discriminator(real, fake):
    return ops.mean(ops.relu(1.0 - real)) + ops.mean(ops.relu(1.0 + fake))


def hinge():
    """Hinge loss (Lim and Ye, arXiv:1705.02894; SAGAN, eq. 4)."""
    return AdversarialLoss(_hinge_of_discriminator, _negative_fake_logits)


@_registered
def _cross_entropy_of_discriminator(real, fake):
    return ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))


@_registered
def _cross_entropy_of_generator(real, fake):
    return ops.mean(ops.softplus(-fake))


def non_saturating():
    """Cross entropy, with the generator maximising log D(G(z)) (Goodfellow et al., 2014)."""
    return AdversarialLoss(_cross_entropy_of_discriminator, _cross_entropy_of_generator)


@_registered
def _squares_of_discriminator(real, fake):
    return 0.5 * ops.mean(ops.square(real - 1.0)) + 0.5 * ops.mean(ops.square(fake))


@_registered
def _squares_of_generator(real, fake):
    return 0.5 * ops.mean(ops.square(fake - 1.0))


def least_squares():
    """Least squares with targets 1 and 0 (Mao et al., arXiv:1611.04076, eq. 9)."""
    return AdversarialLoss(_squares_of_discriminator, _squares_of_generator)


@_registered
def _wasserstein_distance(real, fake):
    return ops.mean(fake) - ops.mean(real)


def wasserstein(gradient_penalty=10.0):
    """Wasserstein loss with gradient penalty (Gulrajani et al., arXiv:1704.00028, eq. 3).

    Args:
        gradient_penalty: Weight of the penalty; 0 leaves it out.
    """
    return AdversarialLoss(
        _wasserstein_distance,
        _negative_fake_logits,
        regularizers=(GradientPenalty(gradient_penalty),) if gradient_penalty else (),
    )


@_registered
def _relativistic_of_discriminator(real, fake):
    return ops.mean(ops.relu(1.0 - (real - ops.mean(fake)))) + ops.mean(
        ops.relu(1.0 + (fake - ops.mean(real)))
    )


@_registered
def _relativistic_of_generator(real, fake):
    return _relativistic_of_discriminator(fake, real)


def relativistic_average_hinge():
    """Relativistic average hinge loss (Jolicoeur-Martineau, arXiv:1807.00734, appendix B).

    Under `tf.distribute` the averages are over each replica's part of the batch.
    """
    return AdversarialLoss(
        _relativistic_of_discriminator, _relativistic_of_generator, relativistic=True
    )


LOSSES = {
    "hinge": hinge,
    "non_saturating": non_saturating,
    "least_squares": least_squares,
    "wasserstein": wasserstein,
    "relativistic_average_hinge": relativistic_average_hinge,
}


def get(loss):
    """Returns an `AdversarialLoss` from its name or itself.

    Raises:
        ValueError: A name that is not in `LOSSES`.
    """
    if isinstance(loss, AdversarialLoss):
        return loss
    if loss not in LOSSES:
        hint = did_you_mean(loss, LOSSES)
        raise ValueError(f"unknown loss {loss!r}{hint}: use one of {', '.join(LOSSES)}")
    return LOSSES[loss]()
