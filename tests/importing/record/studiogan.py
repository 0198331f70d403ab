"""Records what the SAGAN of github.com/POSTECH-CVLab/PyTorch-StudioGAN computes, with its own code.

    python -m record.studiogan CLONE          # in tests/importing

writes `fixtures/studiogan_*.npz`. Of what its code imports and this does not need (plots, metrics)
there are stand-ins.
"""

import json
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
from filling import converged, filled, thinned_map

FIXTURES = Path(__file__).parents[1] / "fixtures"
SEED = 14
# By the size of the pictures: a config of the clone, whose attention places they are, and what
# differs from it. Attention needs a multiple of 8 channels.
SHAPES = {
    32: ("CIFAR10/SAGAN", {"g_conv_dim": 4, "d_conv_dim": 8, "z_dim": 20, "num_classes": 5}),
    64: ("Baby_ImageNet/SAGAN", {"g_conv_dim": 4, "d_conv_dim": 8, "z_dim": 24, "num_classes": 3}),
    128: ("Papa_ImageNet/SAGAN", {"g_conv_dim": 4, "d_conv_dim": 8, "z_dim": 16, "num_classes": 3}),
}
KINDS = (
    (r"weight_[uv]$", None),
    (r"num_batches_tracked$", "count"),
    (r"running_mean$", "mean"),
    # Small where features are, so that the epsilon matters.
    (r"blocks\.(0\.0\.bn.|1\.0\.bn1)\.bn\.running_var$", "variance"),
    (r"running_var$", "gain"),
    (r"sigma$", "gamma"),
    (r"bn4\.weight$", "gain"),
    (r"weight(_orig)?$", "kernel"),
    (r"bias$", "bias"),
)


def state(shapes, kinds, seed):
    """Returns every tensor of networks under PyTorch's spectral norm, its vectors converged."""
    tensors = filled(shapes, kinds, seed)
    for name in shapes:
        if name.endswith("weight_orig"):
            stem, kernel = name.removesuffix("orig"), tensors[name]
            tensors[f"{stem}u"], tensors[f"{stem}v"] = converged(kernel.reshape(len(kernel), -1))
    return tensors


def draws(latent_dim, num_classes):
    """Returns two latents and their labels."""
    rng = np.random.default_rng(SEED)
    latents = rng.normal(size=(2, latent_dim)).astype("float32")
    return latents, np.array([num_classes - 1, 1], "int32")


def pictures(size):
    """Returns what the discriminator is shown: (2, size, size, 3) in [-1, 1]."""
    return np.random.default_rng(SEED).uniform(-1, 1, (2, size, size, 3)).astype("float32")


def thinned_pictures(images):
    """Returns what a fixture keeps: some rows and columns of large pictures.

    An odd step has both parities, which see different entries of a kernel after upsampling.
    """
    step = {32: 1, 64: 3, 128: 5}[images.shape[1]]
    return images[:, ::step, ::step]


def _import(clone):
    """Returns the modules `config` and `models.resnet` of the clone."""
    from torch.torch_version import TorchVersion

    for name in ("torchvision", "seaborn", "matplotlib", "kornia", "PIL", "scipy", "tqdm"):
        sys.modules[name] = MagicMock()
    for name in (
        *("torchvision.transforms", "torchvision.datasets", "torchvision.utils"),
        *("matplotlib.pyplot", "kornia.filters", "scipy.signal", "scipy.stats"),
    ):
        sys.modules[name] = MagicMock()
    sys.modules["pkg_resources"] = types.SimpleNamespace(parse_version=TorchVersion)
    sys.path.insert(0, str(Path(clone) / "src"))
    import config
    from models import resnet

    return config, resnet


def _networks(clone, size):
    """Returns generator and discriminator of a config with the widths of `SHAPES`."""
    config, resnet = _import(clone)
    file, changes = SHAPES[size]
    cfgs = config.Configurations(str(Path(clone) / "src" / "configs" / f"{file}.yaml"))
    settings = {**vars(cfgs.DATA), **vars(cfgs.MODEL), **changes, "img_size": size}
    settings.update(mixed_precision=False, MODULES=cfgs.MODULES, MODEL=cfgs.MODEL)

    def made(network):
        names = network.__init__.__code__.co_varnames[1 : network.__init__.__code__.co_argcount]
        return network(**{name: settings[name] for name in names})

    return made(resnet.Generator), made(resnet.Discriminator)


def _maps(network):
    """Returns a list that takes the attention maps of each call of a network."""
    maps = []
    for module in network.modules():
        if hasattr(module, "conv1x1_theta"):
            module.softmax.register_forward_hook(lambda *call: maps.append(call[-1].numpy()))
    return maps


def record(clone):
    """Writes a fixture for each size."""
    import torch

    torch.set_num_threads(1)
    for size, (_, changes) in SHAPES.items():
        networks = dict(zip(("generator", "discriminator"), _networks(clone, size), strict=True))
        shapes = {}
        for name, network in networks.items():
            shapes[name] = {key: tuple(value.shape) for key, value in network.state_dict().items()}
            tensors = state(shapes[name], KINDS, SEED)
            network.load_state_dict({key: torch.from_numpy(v) for key, v in tensors.items()})
            network.eval()
        maps = _maps(networks["generator"])
        latents, labels = draws(changes["z_dim"], changes["num_classes"])
        of_class = torch.from_numpy(labels).long()
        with torch.no_grad():
            images = networks["generator"](torch.from_numpy(latents), of_class, eval=True)
            shown = torch.from_numpy(pictures(size).transpose(0, 3, 1, 2))
            logits = networks["discriminator"](shown, of_class, eval=True)["adv_output"]
        images = images.numpy().transpose(0, 2, 3, 1)
        (attention,) = maps
        print(size, images.std(), attention.std() * attention.shape[-1], logits.numpy())
        np.savez_compressed(
            FIXTURES / f"studiogan_{size}.npz",
            **{name: json.dumps(of_network) for name, of_network in shapes.items()},
            seed=SEED,
            latents=latents,
            labels=labels,
            images=thinned_pictures(images),
            attention=thinned_map(attention),
            logits=logits.numpy(),
        )


if __name__ == "__main__":
    record(sys.argv[1])
