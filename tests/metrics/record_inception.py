"""Records what torch-fidelity's Inception network computes, with its own code.

    python record_inception.py FOLDER          # in tests/metrics

writes `fixtures/inception.npz`. FOLDER holds torch-fidelity unpacked (of PyPI, 0.4.0: `pip install
--no-deps --target FOLDER torch-fidelity`); it needs PyTorch. Only the modules of the network are
imported. The weights are random: a test fills a file by the same rule.
"""

import json
import sys
import tempfile
import types
import zlib
from pathlib import Path

import numpy as np

FIXTURE = Path(__file__).parent / "fixtures" / "inception.npz"
SEED = 15
SIZES = (32, 64, 128, 299)  # of the pictures
SAMPLES = 64  # values of each block's output, of each picture
BLOCKS = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1"),
    *("Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2"),
    *("Mixed_5b", "Mixed_5c", "Mixed_5d"),
    *("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c"),
)
FEATURES = (64, 192, 768, 2048)


def state(shapes, seed):
    """Returns a value for each tensor of the network, from its name, shape and a seed alone.

    So that values neither grow nor fade on their way through fifty layers, and pictures still
    tell in the end.
    """
    values = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        if name.endswith("num_batches_tracked"):
            values[name] = np.array(7)
            continue
        if name.endswith("conv.weight"):
            value = rng.normal(size=shape) * np.sqrt(0.07 / np.prod(shape[1:]))
        elif name == "fc.weight":
            value = rng.normal(size=shape) / np.sqrt(shape[1])
        elif name.endswith("bn.weight"):
            value = rng.uniform(0.5, 1.5, shape)
        elif name.endswith("running_var"):
            value = rng.uniform(0.02, 0.06, shape)  # small: the epsilon matters
        elif name.endswith("running_mean"):
            value = 0.02 * rng.normal(size=shape)
        else:  # biases
            value = 0.1 * rng.normal(size=shape)
        values[name] = value.astype("float32")
    return values


def picture(size):
    """Returns uint8 (1, size, size, 3): smooth shapes, and noise, so that each block has work."""
    rng = np.random.default_rng([SEED, size])
    waves = rng.uniform(0.5, 4, (3, 2))
    places = np.linspace(0, np.pi, size)
    smooth = np.sin(np.multiply.outer(places, waves[:, 0]))[:, None]
    smooth = smooth * np.cos(np.multiply.outer(places, waves[:, 1]))[None]
    noisy = 128 + 90 * smooth + rng.normal(0, 30, (size, size, 3))
    return noisy.clip(0, 255).astype("uint8")[None]


def sampled(values, name):
    """Returns the mean of one picture's values (height, width, channels), and some of them."""
    flat = np.ravel(values)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return np.append(flat.mean(dtype="float64"), flat[rng.integers(flat.size, size=SAMPLES)])


def network(folder):
    """Returns torch-fidelity's network with the weights of `state`, and their shapes by name."""
    # In place of the package, which imports all of its modules, and torchvision with them.
    package = types.ModuleType("torch_fidelity")
    package.__path__ = [str(folder / "torch_fidelity")]
    sys.modules["torch_fidelity"] = package
    import torch
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    # It takes its weights from a file: which needs their shapes, and those need the network.
    wanted = [*map(str, FEATURES), "logits_unbiased"]
    shapes = {}
    load = torch.nn.Module.load_state_dict

    def fill(module, _):
        shapes.update({name: tuple(value.shape) for name, value in module.state_dict().items()})
        tensors = state(shapes, SEED)
        return load(module, {name: torch.as_tensor(value) for name, value in tensors.items()})

    theirs.FeatureExtractorInceptionV3.load_state_dict = fill
    with tempfile.NamedTemporaryFile() as empty:
        torch.save({}, empty.name)
        return theirs.FeatureExtractorInceptionV3("inception", wanted, empty.name), shapes


def outputs_of(model, image):
    """Returns the outputs of all blocks (height, width, channels), and of the network, by name."""
    import torch

    outputs = {}

    def keep(name):
        def hook(module, inputs, output):
            outputs[name] = output[0].permute(1, 2, 0).numpy().copy()

        return hook

    hooks = [getattr(model, name).register_forward_hook(keep(name)) for name in BLOCKS]
    with torch.no_grad():
        *features, logits = model(torch.from_numpy(image).permute(0, 3, 1, 2))
    for hook in hooks:
        hook.remove()
    outputs |= {str(size): value.numpy()[0] for size, value in zip(FEATURES, features, strict=True)}
    return outputs | {"logits": logits.numpy()[0]}


def resized(image):
    """Returns a picture as it is resized there: float32 (299, 299, 3) from 0 to 255."""
    import torch
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x,
    )

    pixels = torch.from_numpy(image).permute(0, 3, 1, 2).float()
    result = interpolate_bilinear_2d_like_tensorflow1x(pixels, (299, 299), align_corners=False)
    return result[0].permute(1, 2, 0).numpy()


def main():
    """Writes the fixture."""
    model, shapes = network(Path(sys.argv[1]))
    record = {"seed": SEED, "shapes": json.dumps(shapes)}
    for size in SIZES:
        image = picture(size)
        outputs = outputs_of(model, image)
        outputs["resized"] = resized(image)
        for name in ("resized", *BLOCKS):
            record[f"{size}/{name}"] = sampled(outputs[name], name).astype("float32")
        for name in (*map(str, FEATURES), "logits"):
            record[f"{size}/{name}"] = outputs[name]
    np.savez_compressed(FIXTURE, **record)


if __name__ == "__main__":
    main()
