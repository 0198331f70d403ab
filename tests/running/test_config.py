from pathlib import Path

import pytest
import yaml
from programs import run

from keras_sagan.errors import InputError
from keras_sagan.running import config

CONFIGS = Path(__file__).parents[2] / "configs"
PAIRED = CONFIGS / "paired_shapes.yaml"


def test_every_shipped_config_is_valid_and_survives_writing():
    names = {path.stem for path in CONFIGS.glob("*.yaml")}
    assert names == {
        "paired_shapes",
        "cifar10",
        "celeba64",
        "lsun_church64",
        "image_folder64",
        "few_pictures64",
        "imagenet128",
        "fagan64",
    }
    for path in CONFIGS.glob("*.yaml"):
        data = "/pictures" if path.stem in ("image_folder64", "few_pictures64") else None
        loaded = config.load(path, data_folder=data)
        assert config.parse(yaml.safe_load(config.dump(loaded)), "dumped") == loaded


def test_values_can_be_set():
    loaded = config.load(PAIRED, ["train.steps=7", "model.attention=[4, 8]", "data.flip=true"])
    assert loaded.train.steps == 7
    assert loaded.model.attention == [4, 8]
    assert loaded.data.flip is True
    assert config.load(PAIRED, ["train.max_minutes=null"]).train.max_minutes is None


# YAML reads all but 200.0 as text.
NUMBERS = {
    ("train", "steps"): ("2e2", 200),
    ("train", "batch_size"): ("1.6E+1", 16),
    ("train", "seed"): ("200.0", 200),
    ("train", "max_minutes"): ("5e-1", 0.5),
    ("optimizer", "generator_learning_rate"): ("1e-4", 1e-4),
    ("model", "image_size"): ("3.2e1", 32),
    ("model", "num_classes"): ("1e1", 10),
    ("model", "attention"): ("[8e0]", [8]),
    ("data", "name"): ("1e2", "1e2"),
}


@pytest.mark.parametrize("section, key", NUMBERS)
def test_numbers_are_taken_in_any_notation(tmp_path, section, key):
    text, number = NUMBERS[section, key]
    values = yaml.safe_load(PAIRED.read_text())
    values[section][key] = "VALUE"
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(values).replace("VALUE", text))
    for loaded in (config.load(PAIRED, [f"{section}.{key}={text}"]), config.load(file)):
        value = config.flat(loaded)[f"{section}.{key}"]
        assert value == number and type(value) is type(number)


def test_data_folder_takes_the_place_of_the_name():
    loaded = config.load(PAIRED, data_folder="/pictures")
    assert loaded.data.folder == "/pictures" and loaded.data.name is None


def test_the_cache_is_the_same_folder_from_anywhere(tmp_path, monkeypatch):
    assert config.load(PAIRED).data.cache is None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    for given, meant in (("here", tmp_path / "here"), ("~/caches", Path("/home/someone/caches"))):
        loaded = config.load(PAIRED, [f"data.cache={given}"])
        assert loaded.data.cache == str(meant)
        assert config.parse(yaml.safe_load(config.dump(loaded)), "dumped") == loaded
    assert config.load(PAIRED, ["data.cache="]).data.cache is None


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("data.cache=''", "data.cache is '': .*at least 1 character"),
        ("train.step=5", "train.step is not a key of a config; did you mean train.steps?"),
        ("trian.steps=5", "trian is not a key of a config; did you mean train?"),
        ("train.zzz=5", "train.zzz is not a key .* there are batch_size, steps"),
        ("train.steps=1e-1", "train.steps is 0.1: .*valid integer"),
        ("train.batch_size=many", "train.batch_size is 'many': .*valid integer"),
        ("train.batch_size=0", "train.batch_size is 0: .*greater than 0"),
        ("train.ema=1", "train.ema is 1: .*less than 1"),
        ("model.image_size=48", "model.image_size is 48: .*32, 64 or 128"),
        ("model.num_classes=some", "model.num_classes is 'some': .*'auto'"),
        ("model.family=vgg", "model.family is 'vgg': .*'dcgan', 'full_attention' or 'resnet'"),
        ("loss.name=hinge2", "loss.name is 'hinge2': .*'hinge'.* mean hinge"),
        ("model.widht=8", "model.widht is not a key of a config; did you mean model.width?"),
        ("model.attention=[a]", "model.attention is 'a': .*valid integer"),
        ("loss=3", "write section.key=value"),
        ("loss.gradient_penalty=10", "loss.gradient_penalty belongs to loss.name wasserstein"),
        ("data.folder=/x", "data: give either name .* or folder"),
        ("train.precision=float64", "train.precision is 'float64'"),
        ("optimizer.beta_1=-1", "optimizer.beta_1 is -1"),
        ("augmentation.policies=[colour]", "policies is 'colour': .*cutout'.*did you mean color?"),
        (
            "augmentation.policy=[color]",
            "augmentation.policy is not a key .* augmentation.policies",
        ),
        ("augmentation.probability=2", "augmentation.probability is 2: .*less than or equal to 1"),
        ("augmentation.target=1", "augmentation.target is 1: .*less than 1"),
        ("loss.r1=-1", "loss.r1 is -1: .*greater than or equal to 0"),
        ("loss.lecan=1", "loss.lecan is not a key of a config; did you mean loss.lecam?"),
    ],
)
def test_mistakes_are_named_with_what_would_be_right(assignment, message):
    with pytest.raises(InputError, match=message) as error:
        config.load(PAIRED, [assignment])
    assert "\n" not in str(error.value)


def test_data_folder_takes_the_place_of_nonsense(tmp_path):
    (tmp_path / "text.yaml").write_text("data: cifar10")
    with pytest.raises(InputError, match="model is missing"):
        config.load(tmp_path / "text.yaml", data_folder="/pictures")


def test_malformed_assignments():
    for text in ("train.steps", "steps=3", "=3", ".steps=3"):
        with pytest.raises(InputError, match="write section.key=value"):
            config.load(PAIRED, [text])


def test_files_that_are_no_config(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: cannot read"):
        config.load(tmp_path / "none.yaml")
    for text, message in (("a: [", "not a YAML file"), ("- 1", "has sections"), ("", "sections")):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(InputError, match=message) as error:
            config.load(tmp_path / "bad.yaml")
        assert "\n" not in str(error.value)
    (tmp_path / "half.yaml").write_text("model: {family: dcgan, image_size: 32}\ndata: {name: x}")
    with pytest.raises(InputError, match="train is missing"):
        config.load(tmp_path / "half.yaml")


def test_runs_of_before_go_on(tmp_path):
    """They have `gradient_penalty: null` with every loss, for the loss's own default."""
    for name in ("hinge", "wasserstein"):
        values = yaml.safe_load(PAIRED.read_text())
        values["loss"] = {"name": name, "gradient_penalty": None}
        loaded = config.parse(values, "config.yaml")
        assert loaded.loss == config.load(PAIRED, [f"loss.name={name}"]).loss
    assert config.load(PAIRED, ["loss.name=wasserstein"]).loss.gradient_penalty == 10
    values["loss"] = {}
    assert config.parse(values, "config.yaml").loss.name == "hinge"


def test_an_augmentation_is_there_once_it_is_named():
    plain = config.load(PAIRED)
    assert plain.augmentation is None
    assert config.flat(plain)["augmentation.target"] is None
    given = config.load(PAIRED, ["augmentation.target=0.6", "augmentation.policies=[cutout]"])
    layer = given.augmentation.augmentation()
    assert layer.target == 0.6 and layer.policies == ("cutout",) and layer.adapt_images == 500_000
    assert config.flat(given)["augmentation.policies"] == ["cutout"]
    for loaded in (plain, given):
        assert config.parse(yaml.safe_load(config.dump(loaded)), "dumped") == loaded


def test_what_keeps_from_learning_by_heart_goes_with_every_loss():
    for name in ("hinge", "wasserstein"):
        chosen = [f"loss.name={name}"]
        own = [type(each).__name__ for each in config.load(PAIRED, chosen).loss.loss().regularizers]
        assert own == ["GradientPenalty"] * (name == "wasserstein")
        chosen += ["loss.r1=0.5", "loss.r1_every=8", "loss.lecam=0.3"]
        *rest, r1, lecam = config.load(PAIRED, chosen).loss.loss().regularizers
        assert [type(each).__name__ for each in (*rest, r1, lecam)] == [*own, "R1Penalty", "LeCam"]
        assert (r1.weight, r1.every, lecam.weight) == (0.5, 8, 0.3)


NEW_KIND = """
import sys
from typing import Literal
from keras_sagan.running import sections

sections.__path__.append({folder!r})
from keras_sagan.running import config

loaded = config.load({path!r}, ["model.family=flat", "model.image_size=48", "model.depth=3"])
assert type(loaded.model).__name__ == "Flat" and loaded.model.depth == 3
assert config.parse(__import__("yaml").safe_load(config.dump(loaded)), "dumped") == loaded
assert not {{"keras", "tensorflow", "jax"}} & set(sys.modules), "a config needs none of these"
"""


def test_a_new_family_is_a_file_of_its_own_and_needs_no_keras(tmp_path):
    (tmp_path / "flat.py").write_text(
        "from typing import Literal\n"
        "from keras_sagan.running.sections.base import ModelSection\n"
        "class Flat(ModelSection):\n"
        "    family: Literal['flat']\n"
        "    image_size: Literal[48]\n"
        "    depth: int\n"
    )
    process = run("-c", NEW_KIND.format(folder=str(tmp_path), path=str(PAIRED)))
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("family", ["dcgan", "full_attention", "resnet"])
def test_a_family_makes_its_networks(family):
    chosen = [f"model.family={family}", "model.width=8", "model.attention=[16]"]
    chosen += ["model.discriminator_attention_gamma=0.5", "model.discriminator_hidden_units=7"]
    loaded = config.load(PAIRED, [*chosen, "model.num_classes=null", "model.spectral_norm=false"])
    generator, discriminator = loaded.model.networks(synchronized=True)
    for network in (generator, discriminator):
        assert network.num_classes is None and network.width == 8
        assert network.attention == (16,) and network.spectral_norm is False
    assert generator.latent_dim == 64 and generator.synchronized is True
    assert (discriminator.attention_gamma, discriminator.hidden_units) == (0.5, 7)
