"""The Full Attention GAN of `models/full_attention.py` as a section of a config."""

from typing import Literal

from keras_sagan.running.sections.base import ModelSection, Positive


class FullAttention(ModelSection):
    """4x4 convolutions of stride 2 and full attention."""

    family: Literal["full_attention"]
    image_size: Literal[32, 64, 128]
    # Sizes of the feature maps that full attention gives; null is the family's own choice.
    full_attention: list[Positive] | None = None
    discriminator_full_attention: list[Positive] | None = None
    full_spectral_norm: bool = True
    full_batch_norm: bool = True

    def classes(self):
        from keras_sagan.models import FullAttentionDiscriminator, FullAttentionGenerator

        return FullAttentionGenerator, FullAttentionDiscriminator
