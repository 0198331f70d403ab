"""Adversarial losses, each a pair: what the discriminator and what the generator minimises.

All take logits (batch, 1) and give a scalar, the mean over the batch.
"""

import dataclasses
import difflib
from collections.abc import Callable

from keras import ops

from keras_sagan.adversarial.regularizers import GradientPenalty


@dataclasses.dataclass(frozen=True)
class AdversarialLoss:
    """A discriminator's and a generator's loss.

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


def hinge():
    """Hinge loss (Lim and Ye, arXiv:1705.02894; SAGAN, eq. 4)."""
    return AdversarialLoss(
        discriminator=lambda real, fake: (
            ops.mean(ops.relu(1.0 - real)) + ops.mean(ops.relu(1.0 + fake))
        ),
        generator=lambda real, fake: -ops.mean(fake),
    )


def non_saturating():
    """Cross entropy, with the generator maximising log D(G(z)) (Goodfellow et al., 2014)."""
    return AdversarialLoss(
        discriminator=lambda real, fake: (
            ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))
        ),
        generator=lambda real, fake: ops.mean(ops.softplus(-fake)),
    )


def least_squares():
    """Least squares with targets 1 and 0 (Mao et al., arXiv:1611.04076, eq. 9)."""
    return AdversarialLoss(
        discriminator=lambda real, fake: (
            0.5 * ops.mean(ops.square(real - 1.0)) + 0.5 * ops.mean(ops.square(fake))
        ),
        generator=lambda real, fake: 0.5 * ops.mean(ops.square(fake - 1.0)),
    )


def wasserstein(gradient_penalty=10.0):
    """Wasserstein loss with gradient penalty (Gulrajani et al., arXiv:1704.00028, eq. 3).

    Args:
        gradient_penalty: Weight of the penalty; 0 leaves it out.
    """
    return AdversarialLoss(
        discriminator=lambda real, fake: ops.mean(fake) - ops.mean(real),
        generator=lambda real, fake: -ops.mean(fake),
        regularizers=(GradientPenalty(gradient_penalty),) if gradient_penalty else (),
    )


def relativistic_average_hinge():
    """Relativistic average hinge loss (Jolicoeur-Martineau, arXiv:1807.00734, appendix B).

    Under `tf.distribute` the averages are over each replica's part of the batch.
    """

    def pair(above, below):
        return ops.mean(ops.relu(1.0 - (above - ops.mean(below)))) + ops.mean(
            ops.relu(1.0 + (below - ops.mean(above)))
        )

    return AdversarialLoss(
        discriminator=pair,
        generator=lambda real, fake: pair(fake, real),
        relativistic=True,
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
        close = difflib.get_close_matches(str(loss), LOSSES, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ValueError(f"unknown loss {loss!r}{hint}: use one of {', '.join(LOSSES)}")
    return LOSSES[loss]()
