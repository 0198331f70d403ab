"""Records what the SAGAN of github.com/open-mmlab/mmgeneration computes, with its own code.

    python -m record.mmgeneration CLONE       # in tests/importing

writes `fixtures/mmgeneration_*.npz`. It needs mmcv 1.7 (with addict, yapf 0.40.1 and OpenCV) in an
environment of its own; of what only downloads and metrics of the clone need there are stand-ins.
"""

import json
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock, patch

import numpy as np
from filling import thinned_map
from record.studiogan import FIXTURES, SEED, draws, pictures, state, thinned_pictures

# By the name of the fixture: a config of the clone and what differs from it.
SHAPES = {
    "32_inplace": (
        "sagan_32_wReLUinplace_lr-2e-4_ndisc5_cifar10_b64x1",
        {"base_channels": (16, 16), "noise_size": 20, "num_classes": 5},
    ),
    "32_ajbrock": (  # the other spectral norm, and gains without 1 added
        "sagan_32_woReLUinplace_lr-2e-4_ndisc5_cifar10_b64x1",
        {
            "base_channels": (16, 24),
            "noise_size": 24,
            "num_classes": 3,
            "sn_style": "ajbrock",
            "init_cfg": {"type": "SAGAN"},
        },
    ),
    "128_ema": (
        "sagan_128_woReLUinplace_noaug_bigGAN_Glr-1e-4_Dlr-4e-4_ndisc1_imagenet1k_b32x8",
        {"base_channels": (4, 8), "noise_size": 16, "num_classes": 3},
    ),
}
KINDS = (
    (r"weight_[uv]$|\.u0$", None),
    (r"num_batches_tracked$", "count"),
    (r"sv0$", "gain"),  # what was last divided by: of no account
    (r"running_mean$", "mean"),
    # Small where features are, so that the epsilon matters.
    (r"conv_blocks\.(0\.norm_[12]|1\.norm_1)\.norm\.running_var$", "variance"),
    (r"running_var$", "gain"),
    (r"gamma$", "gamma"),
    (r"to_rgb\.bn\.weight$", "gain"),
    (r"weight(_orig)?$", "kernel"),
    (r"bias$", "bias"),
)


def checkpoint_state(shapes, seed):
    """Returns every tensor, also of the spectral norm that keeps `weight`, `u0` and `sv0`."""
    tensors = state(shapes, KINDS, seed)
    for name in shapes:
        if name.endswith(".u0"):
            kernel = tensors[name.replace(".u0", ".weight")]
            matrix = kernel.reshape(len(kernel), -1)
            tensors[name] = np.linalg.svd(matrix)[0][None, :, 0].astype("float32")
    return tensors


def _build(clone, file, changes):
    """Returns the networks of a config by their prefix, and the text of the config."""
    for name in ("torchvision", "click", "requests", "requests.exceptions"):
        sys.modules[name] = MagicMock()
    # The packages without what their __init__ would import: all the models there are.
    for name in ("mmgen.models", "mmgen.models.architectures"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(Path(clone, *name.split(".")))]
    sys.path.insert(0, clone)
    import mmcv
    from mmgen.models.architectures import sngan_proj  # noqa: F401  registers its networks
    from mmgen.models.builder import build_module

    cfg = mmcv.Config.fromfile(str(Path(clone) / "configs" / "sagan" / f"{file}.py"))
    for index, name in enumerate(("generator", "discriminator")):
        for key, value in changes.items():
            if key != "noise_size" or name == "generator":
                cfg.model[name][key] = value[index] if key == "base_channels" else value
    names = ["generator", "discriminator"]
    names += ["generator_ema"] if cfg.train_cfg.get("use_ema") else []
    networks = {name: build_module(cfg.model[name.removesuffix("_ema")]) for name in names}
    text = mmcv.Config({"model": cfg.model, "train_pipeline": cfg.train_pipeline}).pretty_text
    return networks, text


def record(clone):
    """Writes a fixture for each variant."""
    import torch

    torch.set_num_threads(1)
    for variant, (file, changes) in SHAPES.items():
        networks, text = _build(clone, file, changes)
        shapes = {
            f"{prefix}.{name}": tuple(value.shape)
            for prefix, network in networks.items()
            for name, value in network.state_dict().items()
        }
        tensors = checkpoint_state(shapes, SEED)
        for prefix, network in networks.items():
            start = f"{prefix}."
            of_network = {
                name.removeprefix(start): torch.from_numpy(value)
                for name, value in tensors.items()
                if name.startswith(start)
            }
            network.load_state_dict(of_network)
            network.eval()
        latents, labels = draws(changes["noise_size"], changes["num_classes"])
        of_class = torch.from_numpy(labels).long()
        results = {}
        size = networks["generator"].output_scale
        for prefix in networks:
            if prefix == "discriminator":
                continue
            images, attention = _images(networks[prefix], torch.from_numpy(latents), of_class)
            print(variant, prefix, images.std(), attention.std() * attention.shape[-1])
            results[f"{prefix}_images"] = thinned_pictures(images)
            results["attention"] = thinned_map(attention)  # of the one that is sampled from
        with torch.no_grad():
            shown = torch.from_numpy(pictures(size).transpose(0, 3, 1, 2))
            logits = networks["discriminator"](shown, of_class)
        print(variant, "logits", logits.numpy().ravel())
        np.savez_compressed(
            FIXTURES / f"mmgeneration_{variant}.npz",
            shapes=json.dumps(shapes),
            config=text,
            seed=SEED,
            latents=latents,
            labels=labels,
            logits=logits.numpy(),
            **results,
        )


def _images(generator, latents, labels):
    """Returns the pictures (batch, height, width, channels), in BGR, and the attention map."""
    import torch
    from mmgen.models.architectures.biggan import modules

    softmax, maps = modules.F.softmax, []

    def recording(*arguments):
        maps.append(softmax(*arguments))
        return maps[-1]

    with torch.no_grad(), patch.object(modules.F, "softmax", recording):
        images = generator(latents, label=labels)
    (attention,) = maps
    return images.numpy().transpose(0, 2, 3, 1), attention.numpy()


if __name__ == "__main__":
    record(sys.argv[1])
