"""Records what github.com/ajbrock/BigGAN-PyTorch computes, with its own code.

    python -m record.biggan_pytorch CLONE          # in tests/importing

writes `fixtures/biggan_pytorch_*.npz`.
"""

import json
import sys
from pathlib import Path

import numpy as np
from filling import converged, filled, thinned_map

FIXTURES = Path(__file__).parents[1] / "fixtures"
SEED = 14
# Arguments of its networks, by the name of the fixture.
SHAPES = {
    "32": {"resolution": 32, "G_ch": 8, "D_ch": 6, "n_classes": 10, "dim_z": 20, "G_attn": "16"},
    "128": {"resolution": 128, "G_ch": 8, "D_ch": 8, "n_classes": 3, "dim_z": 128},
    "256": {"resolution": 256, "G_ch": 4, "D_ch": 4, "n_classes": 3, "dim_z": 16, "G_attn": "32"},
    "shared": {
        **{"resolution": 32, "G_ch": 8, "D_ch": 4, "n_classes": 4, "dim_z": 24, "G_attn": "8_16"},
        **{"G_shared": True, "shared_dim": 12, "mybn": True},
    },
}
KINDS = (
    (r"\.u0$", None),
    (r"\.sv0$", "gain"),
    (r"accumulation_counter$", None),  # 0, unless statistics were summed up
    (r"\.gamma$", "gamma"),
    (r"stored_mean$", "mean"),
    # Larger, or attention sees one key, and pictures are black and white.
    (r"(bn1|output_layer\.0)\.(bn\.)?stored_var$", "gain"),
    (r"stored_var$", "variance"),
    (r"output_layer\.0\.gain$", "gain"),
    (r"gain\.weight$", "offset"),
    (r"weight$", "kernel"),
    (r"bias$", "bias"),
)


def state(shapes, seed):
    """Returns every tensor of a network; the matrix of a kernel is (first axis, all others)."""
    tensors = filled(shapes, KINDS, seed)
    for name in shapes:
        if name.endswith(".u0"):
            kernel = tensors[name.removesuffix("u0") + "weight"]
            tensors[name] = converged(kernel.reshape(len(kernel), -1))[0][None]
        elif name.endswith("accumulation_counter"):
            tensors[name] = np.zeros(shapes[name], "float32")
    return tensors


def pictures(size, seed):
    """Returns what the discriminator is shown: (2, size, size, 3) in [-1, 1].

    Squares, so that attention finds some: in noise all keys are alike.
    """
    squares = np.random.default_rng(seed).uniform(-1, 1, (2, 8, 8, 3)).astype("float32")
    return squares.repeat(size // 8, axis=1).repeat(size // 8, axis=2)


def thinned_pictures(images):
    """Returns some 20 rows and columns: both parities, which see different kernel entries."""
    step = images.shape[1] // 20 | 1
    return images[:, ::step, ::step]


def fill(network, seed):
    """Gives a torch network the state of `state`, in inference mode; returns its shapes as JSON."""
    import torch

    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    tensors = {name: torch.from_numpy(value) for name, value in state(shapes, seed).items()}
    network.load_state_dict(tensors)
    network.eval()
    return json.dumps(shapes)


def record(clone):
    """Writes a fixture for each entry of `SHAPES`."""
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, clone)
    import BigGAN

    softmax, maps = torch.nn.functional.softmax, []

    def kept(*arguments):
        maps.append(softmax(*arguments))
        return maps[-1]

    torch.nn.functional.softmax = kept  # only its attention calls it
    for name, given in SHAPES.items():
        given = {"G_shared": False, "G_attn": "64", **given}
        given["D_attn"] = "0" if given["resolution"] == 32 else given["G_attn"]
        generator = BigGAN.Generator(**given, no_optim=True)
        discriminator = BigGAN.Discriminator(**given)
        shapes = {"generator": fill(generator, SEED), "discriminator": fill(discriminator, SEED)}
        rng = np.random.default_rng(SEED)
        latents = rng.normal(size=(2, given["dim_z"])).astype("float32")
        labels = torch.tensor([0, given["n_classes"] - 1])
        shown = torch.from_numpy(pictures(given["resolution"], SEED).transpose(0, 3, 1, 2))
        maps.clear()
        with torch.no_grad():
            images = generator(torch.from_numpy(latents), generator.shared(labels))
            logits = discriminator(shown, labels)
        np.savez_compressed(
            FIXTURES / f"biggan_pytorch_{name}.npz",
            **shapes,
            seed=SEED,
            latents=latents,
            labels=labels.numpy(),
            images=thinned_pictures(images.numpy().transpose(0, 2, 3, 1)),
            logits=logits.numpy(),
            **{f"map{i}": thinned_map(attention.numpy()) for i, attention in enumerate(maps)},
        )


if __name__ == "__main__":
    record(sys.argv[1])
