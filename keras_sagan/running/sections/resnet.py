"""The paper's networks of `models/resnet.py` as a section of a config."""

from typing import Literal

from keras_sagan.running.sections.base import ModelSection


class ResNet(ModelSection):
    """Residual blocks."""

    family: Literal["resnet"]
    image_size: Literal[32, 64, 128, 256]

    def classes(self):
        from keras_sagan.models import ResNetDiscriminator, ResNetGenerator

        return ResNetGenerator, ResNetDiscriminator
