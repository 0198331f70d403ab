"""Records what github.com/akanimax/attn_gan_pytorch computes, with its own code.

    python -m record.attn_gan_pytorch CLONE   # in tests/importing

writes `fixtures/attn_gan_pytorch_*.npz`: the networks of its configs and of akanimax/fagan's. Each
fixture holds the text of the .conf files that it was recorded with, which is written here.
"""

import sys
import types

import numpy as np
import yaml
from filling import thinned_map
from record.heykeetae import FIXTURES, SEED, fill, pictures, thinned_pictures

# The name of a fixture, what each layer of the generator and of the discriminator is, the width,
# and the length of the latent vector.
SHAPES = {
    "dcgan": (("conv",) * 5, ("conv",) * 5, 16, 24),  # attn_gan_pytorch's config 1
    "plain": (  # its config 2: neither norm in full attention
        ("conv", "full_plain", "conv", "conv", "conv"),
        ("conv", "conv", "full_plain", "conv", "conv"),
        16,
        32,
    ),
    "normalized": (  # its config 3
        ("conv", "full", "conv", "conv", "conv"),
        ("conv", "conv", "full", "conv", "conv"),
        16,
        32,
    ),
    "fagan": (  # fagan's configs 1 and 2, at the published width
        ("full", "full", "conv", "conv", "conv"),
        ("full_first", "conv", "full", "conv", "conv"),
        64,
        128,
    ),
}
_FULL = {
    "full": {"use_spectral_norm": True, "use_batch_norm": True, "squeeze_factor": 8},
    "full_plain": {"use_spectral_norm": False, "use_batch_norm": False, "squeeze_factor": 8},
    "full_first": {"use_spectral_norm": True, "use_batch_norm": False, "squeeze_factor": 1},
}


def _layer(kind, channels, valid, transposed, batch_norm, spectral_norm, activation):
    stride, padding = ("(1, 1)", "(0, 0)") if valid else ("(2, 2)", "(1, 1)")
    common = {
        "channels": f"({channels[0]}, {channels[1]})",
        "kernel_dims": "(4, 4)",
        "stride": stride,
        "padding": padding,
        "bias": True,
        "activation": activation,
    }
    if kind == "conv":
        name = "conv_transpose" if transposed else "conv"
        norms = {"batch_norm": batch_norm, "spectral_norm": spectral_norm}
        return [{"name": name, **common, **norms}]
    if kind != "full_first":
        common["activation"] = "lrelu(0.3)"
    full = {"name": "full_attention", **common, **_FULL[kind], "transpose_conv": transposed}
    return [full, {"name": "ignore_attn_maps"}]


def _self_attention(channels):
    layer = {"name": "self_attention", "channels": channels, "bias": True, "squeeze_factor": 8}
    return [layer, {"name": "ignore_attn_maps"}]


def configs(name):
    """Returns the .conf texts of a shape: the generator's and the discriminator's."""
    generator_kinds, discriminator_kinds, width, latent_dim = SHAPES[name]
    channels = (latent_dim, 8 * width, 4 * width, 2 * width, width, 3)
    generator, discriminator = [], []
    for i, kind in enumerate(generator_kinds):
        last = i == 4
        activation = "tanh" if last else "relu"
        pair = channels[i : i + 2]
        generator += _layer(kind, pair, i == 0, True, not last, not last, activation)
        if i in (2, 3):
            generator += _self_attention(pair[1])
    channels = (3, width, 2 * width, 4 * width, 8 * width, 1)
    for i, kind in enumerate(discriminator_kinds):
        last = i == 4
        activation = "lrelu(1.0)" if last else "lrelu(0.1)"
        pair = channels[i : i + 2]
        discriminator += _layer(kind, pair, last, False, False, not last, activation)
        if i in (2, 3):
            discriminator += _self_attention(pair[1])
    return tuple(
        yaml.safe_dump({"architecture": layers}, sort_keys=False)
        for layers in (generator, discriminator)
    )


def record(clone):
    """Writes a fixture for each shape."""
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, clone)
    from attn_gan_pytorch.Networks import Discriminator, Generator
    from attn_gan_pytorch.Utils import get_layer

    def layers(config):
        entries = yaml.safe_load(config)["architecture"]
        return [get_layer(types.SimpleNamespace(**entry)) for entry in entries]

    for name, (*_, latent_dim) in SHAPES.items():
        config, discriminator_config = configs(name)
        generator = Generator(layers(config), latent_dim)
        discriminator = Discriminator(layers(discriminator_config))
        maps = []
        for layer in generator.model:
            if type(layer).__name__ in ("SelfAttention", "FullAttention"):
                layer.register_forward_hook(
                    lambda module, inputs, outputs, maps=maps: maps.append(outputs[1].flatten(2))
                )
        shapes = fill({"generator": generator, "discriminator": discriminator}, SEED)
        latents = np.random.default_rng(SEED).normal(size=(2, latent_dim)).astype("float32")
        with torch.no_grad():
            images = generator(torch.from_numpy(latents[:, :, None, None]))
            logits = discriminator(torch.from_numpy(pictures(SEED).transpose(0, 3, 1, 2)))
        np.savez_compressed(
            FIXTURES / f"attn_gan_pytorch_{name}.npz",
            **shapes,
            generator_conf=config,
            discriminator_conf=discriminator_config,
            seed=SEED,
            latents=latents,
            images=thinned_pictures(images.numpy().transpose(0, 2, 3, 1)),
            logits=logits.numpy().ravel(),
            **{f"map{i}": thinned_map(attention.numpy()) for i, attention in enumerate(maps)},
        )


if __name__ == "__main__":
    record(sys.argv[1])
