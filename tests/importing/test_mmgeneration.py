"""mmgeneration's checkpoints, rebuilt from what `record/mmgeneration.py` noted."""

import json

import numpy as np
import pytest
from filling import thinned_map
from record.mmgeneration import SHAPES, checkpoint_state
from record.studiogan import FIXTURES, pictures, thinned_pictures

from keras_sagan.errors import InputError
from keras_sagan.importing import import_checkpoint
from keras_sagan.models import ResNetDiscriminator, ResNetGenerator, with_attention_maps

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.slow

# Float32 of two libraries: pictures in [-1, 1] and maps to 1e-4, logits to 1e-3.
PICTURES, LOGITS = 1e-4, 1e-3
# What else stands in its configs.
REST = """
_base_ = ['../_base_/default_runtime.py']
optimizer = dict(generator=dict(type='Adam', lr=0.0002, betas=(0.5, 0.999)))
total_iters = 100000 * 5
log = {'interval': 100, **dict(by_epoch=False)}
"""


def recorded(variant):
    return np.load(FIXTURES / f"mmgeneration_{variant}.npz")


def write(path, fixture, config=None, change=lambda tensors: None, meta=True):
    """Writes a checkpoint as mmgeneration's runner does."""
    tensors = checkpoint_state(json.loads(str(fixture["shapes"])), int(fixture["seed"]))
    change(tensors)
    content = {
        "state_dict": {name: torch.from_numpy(np.asarray(v)) for name, v in tensors.items()},
        "optimizer": {"generator": {"state": {}, "param_groups": [{"lr": 0.1}]}},
    }
    if meta:
        text = str(fixture["config"]) if config is None else config
        best = {"best_score_fid": np.float64(9.5)}
        content["meta"] = {"config": REST + text, "iter": 400_000, "seed": None, "hook_msgs": best}
    torch.save(content, path)
    return path


def imported_from(path):
    return import_checkpoint(path, "mmgeneration", path.parent / "run")


@pytest.fixture(scope="module", params=SHAPES)
def imported(request, tmp_path_factory):
    fixture = recorded(request.param)
    path = tmp_path_factory.mktemp("mmgeneration") / "iter_400000.pth"
    return request.param, fixture, imported_from(write(path, fixture))


def images_of(fixture, model):
    """Pictures as the peer's code gives them, in BGR."""
    inputs = {"latent": fixture["latents"], "label": fixture["labels"]}
    return thinned_pictures(np.asarray(model(inputs)))[..., ::-1]


def logits_of(fixture, model):
    """Logits of pictures whose BGR the peer's code was shown."""
    images = pictures(model.image_size)[..., ::-1]
    return np.asarray(model({"image": images, "label": fixture["labels"]}))


def test_pictures_and_attention_maps_are_those_of_its_code(imported):
    _, fixture, networks = imported
    models = {"generator": networks.generator, "generator_ema": networks.averaged}
    for name, model in models.items():
        if model is not None:
            images = images_of(fixture, model)
            np.testing.assert_allclose(images, fixture[f"{name}_images"], rtol=0, atol=PICTURES)
    sampled = with_attention_maps(networks.averaged or networks.generator)
    outputs = sampled({"latent": fixture["latents"], "label": fixture["labels"]})
    del outputs["output"]
    (attention,) = outputs.values()
    # A map of little contrast has differences of 1e-4 of its own.
    attention = thinned_map(np.asarray(attention))
    np.testing.assert_allclose(attention, fixture["attention"], rtol=0, atol=2e-6)


def test_logits_are_those_of_its_code(imported):
    _, fixture, networks = imported
    logits = logits_of(fixture, networks.discriminator)
    np.testing.assert_allclose(logits, fixture["logits"], rtol=0, atol=LOGITS)


def test_its_quirks_are_needed(imported):
    """The fixtures would not pass with another epsilon, ReLUs in place or not, or in RGB."""
    _, fixture, networks = imported
    config = networks.generator.get_config()
    other = {1e-4: 1e-5, 1e-5: 1e-4}[config["norm_epsilon"]]
    generator = ResNetGenerator.from_config({**config, "norm_epsilon": other})
    generator.set_weights(networks.generator.get_weights())
    images = images_of(fixture, generator)
    assert np.abs(images - fixture["generator_images"]).max() > PICTURES
    images = images_of(fixture, networks.generator)
    assert np.abs(images[..., ::-1] - fixture["generator_images"]).max() > 0.1
    config = networks.discriminator.get_config()
    config["relu_shortcut"] = not config["relu_shortcut"]
    discriminator = ResNetDiscriminator.from_config(config)
    discriminator.set_weights(networks.discriminator.get_weights())
    assert np.abs(logits_of(fixture, discriminator) - fixture["logits"]).max() > 10 * LOGITS


def test_what_the_config_chooses(imported):
    variant, _, networks = imported
    epsilon, classes_normalized, in_place = {
        "32_inplace": (1e-4, True, True),
        "32_ajbrock": (1e-4, False, False),
        "128_ema": (1e-5, False, False),
    }[variant]
    assert networks.generator.norm_epsilon == epsilon
    assert networks.generator.class_spectral_norm == classes_normalized
    assert networks.discriminator.relu_shortcut == in_place
    assert (networks.averaged is not None) == (variant == "128_ema")
    assert any("no 1 is added" in note for note in networks.notes) == (variant == "32_ajbrock")
    # Of 400,000 iterations one in five is a step of the 32x32 generator.
    assert networks.step == (400_000 if variant == "128_ema" else 80_000)


def test_pictures_in_rgb(tmp_path):
    """Of `cifar10_rgb.py`, whose arrays are RGB already."""
    fixture = recorded("32_ajbrock")
    config = str(fixture["config"]).replace("to_rgb=True", "to_rgb=False")
    networks = imported_from(write(tmp_path / "x.pth", fixture, config))
    images = images_of(fixture, networks.generator)[..., ::-1]
    np.testing.assert_allclose(images, fixture["generator_images"], rtol=0, atol=PICTURES)


@pytest.mark.parametrize("config", [None, "model = dict(", "(" * 5000])
def test_without_a_config_it_is_as_in_the_studio_configs(tmp_path, config):
    fixture = recorded("32_inplace")
    path = write(tmp_path / "x.pth", fixture, config, meta=config is not None)
    networks = imported_from(path)
    assert any("holds no config: taken as in the studio configs" in n for n in networks.notes)
    images = images_of(fixture, networks.generator)
    np.testing.assert_allclose(images, fixture["generator_images"], rtol=0, atol=PICTURES)
    assert not networks.discriminator.relu_shortcut


def test_a_config_is_not_run(tmp_path):
    ran = tmp_path / "ran"
    fixture = recorded("32_inplace")
    call = f"open({str(ran)!r}, 'w')"
    for config in (f"{call}\nmodel = dict(generator={call})", f"model = dict(**{{'a': {call}}})"):
        imported_from(write(tmp_path / "x.pth", fixture, config))
        assert not ran.exists()
        (tmp_path / "run").rename(tmp_path / f"run{len(config)}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sn_style='ajbrock'", "channels_cfg=[1, 1, 1]", "gives the generator channels_cfg"),
        ("init_cfg=dict(type='SAGAN')", "init_cfg=dict(type='mine')", "unknown init_cfg, MINE"),
        ("init_cfg=", "act_cfg=dict(type='ELU'), init_cfg=", "act_cfg of type ELU"),
        ("init_cfg=dict(type='SAGAN')", "init_cfg='SAGAN'", "another form than was known"),
    ],
)
def test_a_config_of_another_network(tmp_path, old, new, message):
    fixture = recorded("32_ajbrock")
    config = str(fixture["config"])
    assert old in config
    path = write(tmp_path / "x.pth", fixture, config.replace(old, new))
    with pytest.raises(InputError, match=f"x.pth: its config.*{message}"):
        imported_from(path)
    assert not (tmp_path / "run").exists()


def test_a_discriminator_that_halves_more_often_than_ours(tmp_path):
    """That of 64x64 pictures: as many blocks after the first as ours have in all, less one."""

    def without_a_block(tensors):
        for name in list(tensors):
            if name.startswith("discriminator.conv_blocks.5."):
                del tensors[name]

    path = write(tmp_path / "x.pth", recorded("128_ema"), change=without_a_block)
    with pytest.raises(InputError, match="halves 64x64 pictures five times, and ours four"):
        imported_from(path)


def test_tensors_too_many_or_too_few(tmp_path):
    def too_many(tensors):
        tensors["disc_auxiliary_losses.0.weight"] = np.zeros(3, np.float32)

    def too_few(tensors):
        del tensors["generator.conv_blocks.0.conv_1.conv.weight_orig"]

    def vector_too_few(tensors):
        del tensors["generator.conv_blocks.0.norm_1.weight_embedding.weight_u"]

    for change, message in (
        (too_many, r"disc_auxiliary_losses\.0\.weight"),
        (too_few, r"conv_blocks\.0\.conv_1\.conv\.weight_orig is missing"),
        (vector_too_few, r"conv_blocks\.0\.norm_1\.weight_embedding\.weight"),
    ):
        path = write(tmp_path / "x.pth", recorded("32_inplace"), change=change)
        with pytest.raises(InputError, match=message):
            imported_from(path)
        assert not (tmp_path / "run").exists()


def test_a_discriminator_apart(tmp_path):
    path = write(tmp_path / "x.pth", recorded("32_inplace"))
    with pytest.raises(InputError, match="holds both networks"):
        import_checkpoint(path, "mmgeneration", tmp_path / "run", path)
