"""The paper's networks of `models/resnet.py` as a section of a config."""

from typing import Literal

from keras_sagan.running.sections.base import ModelSection, Positive


class ResNet(ModelSection):
    """Residual blocks."""

    family: Literal["resnet"]
    image_size: Literal[32, 64, 128, 256]
    # What a network of other code may need: see the models.
    class_spectral_norm: bool = False
    class_embedding_dim: Positive | None = None
    relu_shortcut: bool = False

    def classes(self):
        from keras_sagan.models import ResNetDiscriminator, ResNetGenerator

        return ResNetGenerator, ResNetDiscriminator
