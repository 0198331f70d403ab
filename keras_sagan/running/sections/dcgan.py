"""The compact SAGAN of `models/dcgan.py` as a section of a config."""

from typing import Literal

from keras_sagan.running.sections.base import ModelSection


class DCGAN(ModelSection):
    """4x4 convolutions of stride 2."""

    family: Literal["dcgan"]
    image_size: Literal[32, 64, 128]

    def classes(self):
        from keras_sagan.models import DCGANDiscriminator, DCGANGenerator

        return DCGANGenerator, DCGANDiscriminator
