"""The losses of `adversarial/losses.py` as sections of a config."""

from typing import Literal

from keras_sagan.running.sections.base import LossSection, NonNegative


class Hinge(LossSection):
    """No arguments of its own."""

    name: Literal["hinge"] = "hinge"


class NonSaturating(LossSection):
    """No arguments of its own."""

    name: Literal["non_saturating"]


class LeastSquares(LossSection):
    """No arguments of its own."""

    name: Literal["least_squares"]


class Wasserstein(LossSection):
    """With the weight of its gradient penalty."""

    name: Literal["wasserstein"]
    gradient_penalty: NonNegative = 10.0


class RelativisticAverageHinge(LossSection):
    """No arguments of its own."""

    name: Literal["relativistic_average_hinge"]
