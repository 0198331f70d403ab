"""Records what github.com/heykeetae/Self-Attention-GAN computes, with its own code.

    python -m record.heykeetae CLONE          # in tests/importing

writes `fixtures/heykeetae_*.npz`. Its width and image size are fixed by its attention, so that the
shapes differ in the length of the latent vector.
"""

import json
import sys
from pathlib import Path

import numpy as np
from filling import converged, filled, thinned_map

FIXTURES = Path(__file__).parents[1] / "fixtures"
LATENT_DIMS = (128, 100)
SEED = 14
# The first of each network are there so that no output is grey, saturated, flat or nearly a bias.
_COMMON = (
    (r"weight_[uv]$", None),
    (r"gamma$", "gamma"),
    (r"running_mean$", "mean"),
    (r"running_var$", "variance"),
    (r"num_batches_tracked$", "count"),
    (r"(\.1|batch_norm)\.weight$", "gain"),
    (r"(query|key)_conv\.weight$", "offset"),
    (r"weight(_bar)?$", "kernel"),
    (r"bias$", "bias"),
)
KINDS = {
    "generator": ((r"^(l[34]|model\.[5-9])\..*running_var$", "gamma"), *_COMMON),
    "discriminator": ((r"^(last|model\.\d+)\.0\.weight$", "offset"), *_COMMON),
}


def state(network, shapes, seed):
    """Returns every tensor of a network whose spectral norm keeps `weight_bar`, `_u` and `_v`.

    The matrix of a kernel is (first axis, all others), also where the first axis is that of the
    input channels.
    """
    tensors = filled(shapes, KINDS[network], seed)
    for name in shapes:
        if name.endswith("weight_bar"):
            stem, kernel = name.removesuffix("bar"), tensors[name]
            tensors[f"{stem}u"], tensors[f"{stem}v"] = converged(kernel.reshape(len(kernel), -1))
    return tensors


def pictures(seed):
    """Returns what the discriminator is shown: (2, 64, 64, 3) in [-1, 1]."""
    return np.random.default_rng(seed).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")


def thinned_pictures(images):
    """Returns every third row and column: both parities, which see different kernel entries."""
    return images[:, ::3, ::3]


def fill(networks, seed):
    """Gives torch networks, by name, the state of `state`; returns their shapes as JSON."""
    import torch

    texts = {}
    for name, network in networks.items():
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        tensors = {key: torch.from_numpy(value) for key, value in state(name, shapes, seed).items()}
        network.load_state_dict(tensors)
        network.eval()
        texts[name] = json.dumps(shapes)
    return texts


def record(clone):
    """Writes a fixture for each length of the latent vector."""
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, clone)
    import sagan_models

    for latent_dim in LATENT_DIMS:
        generator = sagan_models.Generator(2, z_dim=latent_dim)
        discriminator = sagan_models.Discriminator(2)
        shapes = fill({"generator": generator, "discriminator": discriminator}, SEED)
        latents = np.random.default_rng(SEED).normal(size=(2, latent_dim)).astype("float32")
        with torch.no_grad():
            images, *maps = generator(torch.from_numpy(latents))
            logits, *_ = discriminator(torch.from_numpy(pictures(SEED).transpose(0, 3, 1, 2)))
        np.savez_compressed(
            FIXTURES / f"heykeetae_latent{latent_dim}.npz",
            **shapes,
            seed=SEED,
            latents=latents,
            images=thinned_pictures(images.numpy().transpose(0, 2, 3, 1)),
            logits=logits.numpy(),
            **{f"map{i}": thinned_map(attention.numpy()) for i, attention in enumerate(maps)},
        )


if __name__ == "__main__":
    record(sys.argv[1])
