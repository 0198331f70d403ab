"""Generators and discriminators, one file a family, and those of other people."""

from keras_sagan.models.attention_maps import attention_layers, map_shapes, with_attention_maps
from keras_sagan.models.dcgan import DCGANDiscriminator, DCGANGenerator
from keras_sagan.models.full_attention import FullAttentionDiscriminator, FullAttentionGenerator
from keras_sagan.models.networks import named_generator, named_networks
from keras_sagan.models.resnet import ResNetDiscriminator, ResNetGenerator

FAMILIES = {
    "resnet": (ResNetGenerator, ResNetDiscriminator),
    "dcgan": (DCGANGenerator, DCGANDiscriminator),
    "full_attention": (FullAttentionGenerator, FullAttentionDiscriminator),
}

__all__ = [
    "FAMILIES",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "FullAttentionDiscriminator",
    "FullAttentionGenerator",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "attention_layers",
    "map_shapes",
    "named_generator",
    "named_networks",
    "with_attention_maps",
]
