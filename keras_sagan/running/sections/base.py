"""What all sections have in common."""

import dataclasses
import inspect
import re
import typing
from typing import Annotated, Literal

import pydantic

Positive = Annotated[int, pydantic.Field(gt=0)]
Rate = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, pydantic.Field(ge=0, lt=1)]
NonNegative = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]

# YAML 1.1 wants a dot and a signed exponent in a float, and reads all others as text.
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def _number(value):
    """The number that a text writes, a whole one as an int; anything else as it is."""
    if isinstance(value, list):
        return [_number(each) for each in value]
    if isinstance(value, str) and _FLOAT.fullmatch(value):
        value = float(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Section(pydantic.BaseModel):
    """A part of a config: unknown keys are errors, values do not change."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _numbers_of_any_notation(cls, values):
        """Takes 1e2, 1e-4 and 100.0 for the numbers they are, unless the key is a text's."""
        if not isinstance(values, dict):
            return values
        texts = {
            name
            for name, field in cls.model_fields.items()
            if str in (field.annotation, *typing.get_args(field.annotation))
        }
        return {k: v if k in texts else _number(v) for k, v in values.items()}


class ModelSection(Section):
    """The two networks.

    A family says its name, its image sizes, what keys it has besides, and by a method `classes()`
    which classes its generator and its discriminator are of, importing them there: Keras takes
    seconds.
    """

    family: str
    image_size: int
    # "auto" takes the classes of the data; null is an unconditional model.
    num_classes: Annotated[int, pydantic.Field(gt=1)] | Literal["auto"] | None = "auto"
    latent_dim: Positive = 128
    width: Positive = 64
    # Sizes of the feature maps that attention follows; null is the family's own choice.
    attention: list[Positive] | None = None
    spectral_norm: bool | Literal["scaled"] = True
    mapping_layers: Annotated[int, pydantic.Field(ge=0)] = 0  # that the latent goes through first
    self_modulation: bool = False  # whether the batch norms of the generator see the latent too
    # What a network of other code may need: see the models.
    spectral_norm_axis: Literal["output", "first"] = "output"
    norm_epsilon: Rate = 1e-5
    norm_momentum: Share = 0.99
    # Where the discriminator differs.
    discriminator_width: Positive | None = None
    discriminator_attention: list[Positive] | None = None
    # What the discriminator alone has.
    discriminator_attention_gamma: NonNegative = 0  # where the gammas of its attention start
    discriminator_hidden_units: Annotated[int, pydantic.Field(ge=0)] = 0  # before the logits

    def networks(self, synchronized=False):
        """Returns the generator and the discriminator.

        Args:
            synchronized: Whether batch statistics are taken over all replicas.

        Raises:
            ValueError: Values that do not go together.
        """
        generator, discriminator = self.classes()
        values = {**self.model_dump(exclude_none=True), "synchronized": synchronized}
        own = {
            key.removeprefix("discriminator_"): value
            for key, value in values.items()
            if key.startswith("discriminator_")
        }
        return (
            generator(**_arguments(generator, values)),
            discriminator(**_arguments(discriminator, {**values, **own})),
        )


def _arguments(network, values):
    """Those of the values that a network takes."""
    names = inspect.signature(network.__init__).parameters
    return {name: value for name, value in values.items() if name in names}


class LossSection(Section):
    """The adversarial loss. A loss says its name, that of its function, and the arguments.

    What keeps the discriminator from learning by heart goes with each of them.
    """

    name: str
    r1: NonNegative = 0  # weight of the R1 penalty; 0 leaves it out
    r1_every: Positive = 16  # steps from one R1 penalty to the next
    lecam: NonNegative = 0  # weight of LeCam regularization; 0 leaves it out

    def loss(self):
        """Returns the `AdversarialLoss`, with the regularizers that are asked for."""
        from keras_sagan.adversarial import losses, regularizers

        arguments = self.model_dump(exclude={"name", "r1", "r1_every", "lecam"})
        loss = getattr(losses, self.name)(**arguments)
        further = []
        if self.r1:
            further.append(regularizers.R1Penalty(self.r1, every=self.r1_every))
        if self.lecam:
            further.append(regularizers.LeCam(self.lecam))
        return dataclasses.replace(loss, regularizers=(*loss.regularizers, *further))
