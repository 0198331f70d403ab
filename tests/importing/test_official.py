"""Checkpoints of the official code, rebuilt from what `record/official.py` noted."""

import json

import numpy as np
import pytest
from outputs import outputs_of
from record.official import FIXTURES, pictures, state, thinned_pictures

from keras_sagan.errors import InputError
from keras_sagan.importing import import_checkpoint
from keras_sagan.models import ResNetDiscriminator, ResNetGenerator

tf = pytest.importorskip("tensorflow")

# Float32 sums in another order: pictures in [-1, 1] to 1e-4, logits to 1e-3. Maps too are
# within 1e-4; where they are nearly even, at 1e-3, what differs from key to key must be right.
PICTURES, LOGITS = 1e-4, 1e-3
MAPS = {"rtol": 1e-4, "atol": 2e-6}


def write(folder, name, change=lambda tensors: None):
    """Writes a checkpoint as its trainer does; returns the prefix and what was recorded."""
    with np.load(FIXTURES / f"official_{name}.npz") as file:
        record = dict(file)
    shapes = json.loads(str(record["shapes"]))
    tensors = state(shapes, int(record["seed"]))
    change(tensors)
    prefix = str(folder / "model.ckpt-7")
    names = sorted(tensors)
    values = [tf.constant(tensors[name]) for name in names]
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=values
    )
    return prefix, record


@pytest.fixture(
    scope="module",
    params=(
        "test",
        pytest.param("baseline", marks=pytest.mark.slow),
        pytest.param("test_64", marks=pytest.mark.slow),
    ),
)
def imported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("official")
    prefix, record = write(folder, request.param)
    return record, import_checkpoint(prefix, "official", folder / "run"), folder / "run"


def attention_maps(record):
    return [record[name] for name in sorted(record) if name.startswith("map")]


def generated(record, generator):
    images, maps = outputs_of(generator, {"latent": record["latents"], "label": record["labels"]})
    return thinned_pictures(images), maps


def judged(record, discriminator):
    shown = pictures(int(record["seed"]))
    return outputs_of(discriminator, {"image": shown, "label": record["labels"]})


def test_pictures_logits_and_attention_are_those_of_its_code(imported):
    record, networks, _ = imported
    images, maps = generated(record, networks.generator)
    np.testing.assert_allclose(images, record["images"], rtol=0, atol=PICTURES)
    logits, more_maps = judged(record, networks.discriminator)
    np.testing.assert_allclose(logits, record["logits"], rtol=0, atol=LOGITS)
    for ours, theirs in zip([*maps, *more_maps], attention_maps(record), strict=True):
        np.testing.assert_allclose(ours, theirs, **MAPS)


def test_what_is_read_off_the_shapes(imported):
    record, networks, _ = imported
    shapes = json.loads(str(record["shapes"]))
    generator, discriminator = networks.generator, networks.discriminator
    assert generator.latent_dim == record["latents"].shape[1]
    assert generator.num_classes == discriminator.num_classes == record["labels"][-1] + 1
    assert generator.width == shapes["model/g_bn/gamma"][0]
    assert discriminator.width == shapes["model/d_optimized_block1/sn_conv1/biases"][0]
    queries = [int(attention.shape[2] * 4) ** 0.5 for attention in attention_maps(record)]
    assert [*generator.attention, *discriminator.attention] == queries


def test_the_run_goes_on_as_it_began(imported):
    _, networks, run = imported
    assert networks.step == 7
    assert networks.training["train"]["fake_labels"] == "uniform"
    assert (run / "checkpoints" / "00000007" / "discriminator.keras").exists()
    notes = " ".join(networks.notes)
    assert all(f" {name}" in notes for name in ("Adam", "Adam_1", "beta1_power", "d_step"))


def test_the_axes_and_gains_matter(imported):
    """The fixtures would not pass with another axis of the embedding, or with gains less 1."""
    record, networks, _ = imported
    config = {**networks.discriminator.get_config(), "spectral_norm_axis": "output"}
    discriminator = ResNetDiscriminator.from_config(config)
    old, new = (n.get_layer("class_embedding") for n in (networks.discriminator, discriminator))
    for layer in discriminator.layers:
        if layer.weights and layer is not new:
            layer.set_weights(networks.discriminator.get_layer(layer.name).get_weights())
    new.layer.embeddings.assign(old.layer.embeddings)  # and u at random
    logits, _ = judged(record, discriminator)
    assert np.abs(logits - record["logits"]).max() > 10 * LOGITS

    generator = ResNetGenerator.from_config(networks.generator.get_config())
    generator.set_weights(networks.generator.get_weights())
    gain = generator.get_layer("block128_norm2").gain
    gain.assign(gain + 1)
    images, _ = generated(record, generator)
    assert np.abs(images - record["images"]).max() > 10 * PICTURES


def test_a_generator_alone(tmp_path):
    """Without optimizers too, as some convert their checkpoints; steps then count from 0."""

    def generator_alone(tensors):
        for name in [*tensors]:
            if not name.startswith("model/g_") or "/Adam" in name:
                del tensors[name]

    prefix, record = write(tmp_path, "test", generator_alone)
    networks = import_checkpoint(prefix, "official", tmp_path / "run")
    assert networks.discriminator is None
    assert networks.step == 0
    images, _ = generated(record, networks.generator)
    np.testing.assert_allclose(images, record["images"], rtol=0, atol=PICTURES)


def too_many(tensors):
    tensors["model/g_block6/snconv1/w"] = np.zeros((3, 3, 8, 8), "float32")


def too_few(tensors):
    del tensors["model/g_block3/snconv2/u"]


def too_narrow(tensors):
    tensors["model/g_block2/cbn_1/var"] = np.ones((1, 1, 1, 7), "float32")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (too_many, "g_block6/snconv1/w"),
        (too_few, "g_block3/snconv2/u is missing"),
        (too_narrow, "g_block2/cbn_1/var"),
    ],
)
def test_a_damaged_checkpoint_is_refused(tmp_path, change, message):
    prefix, _ = write(tmp_path, "baseline", change)
    with pytest.raises(InputError, match=message):
        import_checkpoint(prefix, "official", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_discriminator_beside_is_refused(tmp_path):
    with pytest.raises(InputError, match="leave out --discriminator"):
        import_checkpoint("model.ckpt-7", "official", tmp_path / "run", discriminator="model.ckpt")
