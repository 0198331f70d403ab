"""PyTorch-StudioGAN's checkpoints, rebuilt from what `record/studiogan.py` noted."""

import json
from pathlib import Path

import numpy as np
import pytest
from filling import thinned_map
from record.studiogan import FIXTURES, KINDS, pictures, state, thinned_pictures

from keras_sagan.errors import InputError
from keras_sagan.importing import import_checkpoint
from keras_sagan.models import ResNetDiscriminator, ResNetGenerator, with_attention_maps

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.slow

# Float32 of two libraries: pictures in [-1, 1] and maps to 1e-4, logits to 1e-3.
PICTURES, LOGITS = 1e-4, 1e-3


def recorded(size):
    return np.load(FIXTURES / f"studiogan_{size}.npz")


def write(folder, fixture, change=lambda tensors: None):
    """Writes both checkpoints as StudioGAN's worker does; returns their paths."""
    paths = []
    for letter, network in (("G", "generator"), ("D", "discriminator")):
        tensors = state(json.loads(str(fixture[network])), KINDS, int(fixture["seed"]))
        change(tensors)
        content = {
            "state_dict": {name: torch.from_numpy(value) for name, value in tensors.items()},
            "optimizer": {"state": {0: {"step": torch.tensor(5.0)}}, "param_groups": [{"lr": 0.1}]},
        }
        if letter == "D":
            content |= {"step": 40_000, "best_fid": np.float64(12.5), "run_name": "SAGAN"}
        paths.append(Path(folder) / f"model={letter}-best-weights-step=40000.pth")
        torch.save(content, paths[-1])
    return paths


@pytest.fixture(scope="module", params=(32, 64, 128))
def imported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("studiogan")
    fixture = recorded(request.param)
    generator, discriminator = write(folder, fixture)
    networks = import_checkpoint(generator, "studiogan", folder / "run", discriminator)
    return fixture, networks


def inputs(fixture, network, size):
    main = {"latent": fixture["latents"]} if network == "generator" else {"image": pictures(size)}
    return {**main, "label": fixture["labels"]}


def logits_of(fixture, model):
    return np.asarray(model(inputs(fixture, "discriminator", model.image_size)))[:, 0]


def test_pictures_and_attention_maps_are_those_of_its_code(imported):
    fixture, networks = imported
    model = with_attention_maps(networks.generator)
    outputs = model(inputs(fixture, "generator", None))
    images = thinned_pictures(np.asarray(outputs.pop("output")))
    np.testing.assert_allclose(images, fixture["images"], rtol=0, atol=PICTURES)
    (attention,) = outputs.values()
    attention = thinned_map(np.asarray(attention))
    np.testing.assert_allclose(attention, fixture["attention"], rtol=0, atol=1e-5)


def test_logits_are_those_of_its_code(imported):
    fixture, networks = imported
    logits = logits_of(fixture, networks.discriminator)
    np.testing.assert_allclose(logits, fixture["logits"], rtol=0, atol=LOGITS)


def test_its_quirks_are_needed(imported):
    """The fixtures would not pass with another epsilon or without ReLUs in place."""
    fixture, networks = imported
    config = {**networks.generator.get_config(), "norm_epsilon": 1e-5}
    generator = ResNetGenerator.from_config(config)
    generator.set_weights(networks.generator.get_weights())
    images = thinned_pictures(np.asarray(generator(inputs(fixture, "generator", None))))
    assert np.abs(images - fixture["images"]).max() > PICTURES
    config = {**networks.discriminator.get_config(), "relu_shortcut": False}
    discriminator = ResNetDiscriminator.from_config(config)
    discriminator.set_weights(networks.discriminator.get_weights())
    assert np.abs(logits_of(fixture, discriminator) - fixture["logits"]).max() > 10 * LOGITS


def test_training_goes_on_as_it_began(imported):
    _, networks = imported
    assert networks.step == 40_000
    small = networks.generator.image_size == 32
    assert networks.training["train"]["discriminator_steps"] == (5 if small else 1)
    assert networks.generator.norm_momentum == 0.9


def test_the_generator_alone(tmp_path):
    generator, _ = write(tmp_path, recorded(32))
    assert import_checkpoint(generator, "studiogan", tmp_path / "run").discriminator is None


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_tensors_too_many_or_too_few(tmp_path, network):
    first = {"generator": "linear0.bias", "discriminator": "linear1.bias"}[network]

    def too_many(tensors):
        if first in tensors:
            tensors["info_mix_linear.bias"] = np.zeros(3, np.float32)

    def too_few(tensors):
        tensors.pop(first, None)

    for change, message in ((too_many, "info_mix_linear.bias"), (too_few, f"{first} is missing")):
        paths = write(tmp_path, recorded(32), change)
        with pytest.raises(InputError, match=message):
            import_checkpoint(paths[0], "studiogan", tmp_path / "run", paths[1])
        assert not (tmp_path / "run").exists()


def test_attention_that_ours_cannot_have(tmp_path):
    """After the third block, whose map is as large as the second's."""

    def moved(tensors):
        if "linear1.bias" in tensors:
            for name in [name for name in tensors if name.startswith("blocks.")]:
                _, index, rest = name.split(".", 2)
                index = {"0": 0, "1": 3, "2": 1, "3": 2, "4": 4}[index]
                tensors[f"moved.{index}.{rest}"] = tensors.pop(name)
            for name in [name for name in tensors if name.startswith("moved.")]:
                tensors[name.replace("moved", "blocks")] = tensors.pop(name)

    generator, discriminator = write(tmp_path, recorded(32), moved)
    with pytest.raises(InputError, match=r"blocks\.3\.0 is attention after block 3"):
        import_checkpoint(generator, "studiogan", tmp_path / "run", discriminator)


def test_the_networks_in_the_wrong_places(tmp_path):
    generator, discriminator = write(tmp_path, recorded(32))
    with pytest.raises(InputError, match="no generator of studiogan.*a discriminator of studiogan"):
        import_checkpoint(discriminator, "studiogan", tmp_path / "run", generator)
