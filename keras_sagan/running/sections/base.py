"""What all sections have in common."""

from typing import Annotated, Literal

import pydantic

Positive = Annotated[int, pydantic.Field(gt=0)]
Rate = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, pydantic.Field(ge=0, lt=1)]
NonNegative = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


class Section(pydantic.BaseModel):
    """A part of a config: unknown keys are errors, values do not change."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


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
    spectral_norm: bool = True

    def networks(self, synchronized=False):
        """Returns the generator and the discriminator.

        Args:
            synchronized: Whether batch statistics are taken over all replicas.

        Raises:
            ValueError: Values that do not go together.
        """
        generator, discriminator = self.classes()
        shared = self.model_dump(exclude={"family", "latent_dim"}, exclude_none=True)
        return (
            generator(latent_dim=self.latent_dim, synchronized=synchronized, **shared),
            discriminator(**shared),
        )


class LossSection(Section):
    """The adversarial loss. A loss says its name, that of its function, and the arguments."""

    name: str

    def loss(self):
        """Returns the `AdversarialLoss`."""
        from keras_sagan.adversarial import losses

        return getattr(losses, self.name)(**self.model_dump(exclude={"name"}))
