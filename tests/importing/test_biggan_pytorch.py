"""BigGAN-PyTorch's files, rebuilt from what `record/biggan_pytorch.py` noted."""

import json

import numpy as np
import pytest
from outputs import outputs_of
from record.biggan_pytorch import FIXTURES, pictures, state, thinned_pictures

from keras_sagan.errors import InputError
from keras_sagan.importing import import_checkpoint
from keras_sagan.models import ResNetGenerator

torch = pytest.importorskip("torch")

# Float32 of two libraries: pictures in [-1, 1] to 1e-4, logits to 1e-3. Maps too are
# within 1e-4; where they are nearly even, at 1e-3, what differs from key to key must be right.
PICTURES, LOGITS = 1e-4, 1e-3
MAPS = {"rtol": 1e-4, "atol": 2e-6}


def recorded(name):
    with np.load(FIXTURES / f"biggan_pytorch_{name}.npz") as file:
        return dict(file)


def tensors_of(record, network, seed=None):
    shapes = json.loads(str(record[network]))
    return state(shapes, int(record["seed"]) if seed is None else seed)


def save(tensors, path):
    torch.save({name: torch.from_numpy(value) for name, value in tensors.items()}, path)


def write(folder, record, change=lambda tensors: None):
    """Writes the folder that its trainer leaves after 70,000 updates; what was recorded is the
    averaged generator."""
    folder.mkdir()
    averaged, discriminator = (tensors_of(record, n) for n in ("generator", "discriminator"))
    change(averaged)
    change(discriminator)
    save(averaged, folder / "G_ema.pth")
    save(discriminator, folder / "D.pth")
    trained = tensors_of(record, "generator", seed=1)
    change(trained)
    save(trained, folder / "G.pth")
    settings = {"dim_z": 128, "G_activation": torch.nn.ReLU(inplace=False)}
    counters = {"itr": 70_000, "epoch": 14, "best_IS": np.float64(52.5), "config": settings}
    torch.save(counters, folder / "state_dict.pth")
    return folder


@pytest.fixture(
    scope="module",
    params=(
        "shared",
        pytest.param("32", marks=pytest.mark.slow),
        pytest.param("128", marks=pytest.mark.slow),
        pytest.param("256", marks=pytest.mark.slow),
    ),
)
def imported(request, tmp_path_factory):
    record = recorded(request.param)
    folder = write(tmp_path_factory.mktemp("biggan") / "SAGAN", record)
    return record, import_checkpoint(folder, "biggan-pytorch", folder.parent / "run"), folder


def attention_maps(record):
    return [record[name] for name in sorted(record) if name.startswith("map")]


def generated(record, generator):
    images, maps = outputs_of(generator, {"latent": record["latents"], "label": record["labels"]})
    return thinned_pictures(images), maps


def judged(record, discriminator):
    shown = pictures(discriminator.image_size, int(record["seed"]))
    return outputs_of(discriminator, {"image": shown, "label": record["labels"]})


def test_pictures_logits_and_attention_are_those_of_its_code(imported):
    record, networks, _ = imported
    images, maps = generated(record, networks.averaged)
    np.testing.assert_allclose(images, record["images"], rtol=0, atol=PICTURES)
    logits, more_maps = judged(record, networks.discriminator)
    np.testing.assert_allclose(logits, record["logits"], rtol=0, atol=LOGITS)
    for ours, theirs in zip([*maps, *more_maps], attention_maps(record), strict=True):
        np.testing.assert_allclose(ours, theirs, **MAPS)


def test_the_trained_generator_is_another_one(imported):
    record, networks, folder = imported
    images, _ = generated(record, networks.generator)
    assert np.abs(images - record["images"]).max() > 10 * PICTURES
    alone = import_checkpoint(folder / "G.pth", "biggan-pytorch", folder.parent / "trained")
    np.testing.assert_array_equal(generated(record, alone.generator)[0], images)


def test_the_run_goes_on_as_it_began(imported):
    _, networks, folder = imported
    assert networks.step == 70_000
    assert networks.generator.norm_momentum == 0.9
    checkpoint = folder.parent / "run" / "checkpoints" / "00070000"
    assert (checkpoint / "discriminator.keras").exists()


def test_a_copy_without_the_others(tmp_path):
    """The steps are those of the file that ends as it does; a number below 256 takes one byte."""
    record = recorded("shared")
    save(tensors_of(record, "generator"), tmp_path / "G_ema_best0.pth")
    torch.save({"itr": 255}, tmp_path / "state_dict_best0.pth")
    torch.save({"itr": 9}, tmp_path / "state_dict.pth")
    networks = import_checkpoint(tmp_path / "G_ema_best0.pth", "biggan-pytorch", tmp_path / "run")
    assert networks.step == 255
    assert networks.averaged is networks.discriminator is None
    images, _ = generated(record, networks.generator)
    np.testing.assert_allclose(images, record["images"], rtol=0, atol=PICTURES)


def test_the_shared_embedding_is_needed():
    """The fixture would not pass without the norm of the tables."""
    record = recorded("shared")
    tensors = tensors_of(record, "generator")
    for name in tensors:
        if name.endswith((".gain.weight", ".bias.weight")):
            sigma = np.linalg.norm(tensors[name], 2)
            assert abs(sigma - 1) > 0.1


def without_ema(folder):
    (folder / "G_ema.pth").unlink()


def without_generator(folder):
    (folder / "G.pth").unlink()


@pytest.mark.parametrize("change", [without_ema, without_generator])
def test_a_folder_with_one_generator(tmp_path, change):
    folder = write(tmp_path / "SAGAN", recorded("shared"))
    change(folder)
    networks = import_checkpoint(folder, "biggan-pytorch", tmp_path / "run")
    assert networks.averaged is None
    assert isinstance(networks.generator, ResNetGenerator)


def too_many(tensors):
    tensors["blocks.2.2.theta.weight"] = np.ones((2, 16, 1, 1), "float32")


def too_few(tensors):
    tensors.pop("output_layer.2.bias", None)


def split_latents(tensors):
    for name in tensors:
        if name.endswith((".gain.weight", ".bias.weight")):
            tensors[name] = np.pad(tensors[name], ((0, 0), (0, 6)))


def summed(tensors):
    for name in tensors:
        if name.endswith("accumulation_counter"):
            tensors[name][:] = 16


def replicated(tensors):
    for name in [name for name in tensors if ".bn." in name]:
        tensors[name.replace("stored", "running")] = tensors.pop(name)


def of_64(tensors):
    for name in [name for name in tensors if name.startswith("blocks.0.")]:
        tensors[name.replace(".0.", ".3.", 1)] = tensors[name]


def attention_twice(tensors):
    attention = {n: v for n, v in tensors.items() if n.startswith("blocks.1.1.")}
    if "embed.weight" in tensors:
        for i in (1, 2):
            for name in ("theta", "phi", "g", "o"):
                tensors[f"blocks.{i}.1.{name}.weight"] = np.ones((2, 16, 1, 1), "float32")
    tensors.update(attention)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (too_many, r"blocks\.2\.2\.theta\.weight"),
        (too_few, r"output_layer\.2\.bias is missing"),
        (split_latents, "--hier"),
        (summed, "--accumulate_stats"),
        (replicated, "--cross_replica"),
        (of_64, "pictures of 64x64"),
        (attention_twice, r"blocks\.1\.1 and blocks\.2\.1 are both attention at 8"),
    ],
)
def test_what_no_network_here_has_is_refused(tmp_path, change, message):
    folder = write(tmp_path / "SAGAN", recorded("shared"), change)
    with pytest.raises(InputError, match=message):
        import_checkpoint(folder, "biggan-pytorch", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_networks_in_the_wrong_places(tmp_path):
    folder = write(tmp_path / "SAGAN", recorded("shared"))
    with pytest.raises(InputError, match="it looks like a discriminator of biggan-pytorch"):
        import_checkpoint(folder / "D.pth", "biggan-pytorch", tmp_path / "run")
