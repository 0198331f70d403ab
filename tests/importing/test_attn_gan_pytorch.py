import pytest
import yaml
from test_heykeetae import changed, refused
from torch_checkpoints import assert_as_recorded, recorded, tensors, zeros

from keras_sagan.errors import InputError
from keras_sagan.importing import import_checkpoint
from keras_sagan.importing.attn_gan_pytorch import Conf
from keras_sagan.running.run_folder import Run

torch = pytest.importorskip("torch")

SYSTEM = "attn-gan-pytorch"


def written(folder, record):
    """Arguments of `import_checkpoint`: both checkpoints and what describes them."""
    given = {"checkpoint": folder / "GAN_GEN_12.pth", "discriminator": folder / "GAN_DIS_12.pth"}
    given |= {"conf": folder / "gen.conf", "discriminator_conf": folder / "dis.conf"}
    torch.save(tensors(record, "generator"), given["checkpoint"])
    torch.save(tensors(record, "discriminator"), given["discriminator"])
    given["conf"].write_text(str(record["generator_conf"]))
    given["discriminator_conf"].write_text(str(record["discriminator_conf"]))
    return given


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return written(tmp_path_factory.mktemp("given"), recorded("attn_gan_pytorch_normalized"))


@pytest.mark.parametrize(
    "name",
    [
        "normalized",
        pytest.param("dcgan", marks=pytest.mark.slow),
        pytest.param("plain", marks=pytest.mark.slow),
        pytest.param("fagan", marks=pytest.mark.slow),
    ],
)
def test_imports_what_its_code_computes(name, tmp_path):
    record, run = recorded(f"attn_gan_pytorch_{name}"), tmp_path / "run"
    networks = import_checkpoint(**written(tmp_path, record), system=SYSTEM, run_dir=run)
    assert_as_recorded(networks, record)
    made = Run(run).config().model.networks()
    imported = (networks.generator, networks.discriminator)
    assert [each.get_config() for each in made] == [each.get_config() for each in imported]


def test_a_generator_alone_is_enough(given, tmp_path):
    networks = import_checkpoint(given["checkpoint"], SYSTEM, tmp_path / "run", conf=given["conf"])
    assert networks.discriminator is None


@pytest.mark.parametrize(
    ("number", "key", "value"),
    [
        (1, "kernel_dims", "(3, 3)"),
        (1, "activation", "lrelu(0.2)"),
        (2, "squeeze_factor", 4),
        (2, "transpose_conv", False),
        (4, "bias", False),
        (4, "stride", None),
        (4, "spectral_norm", False),
        (4, "channels", "64"),
        (5, "activation", "relu"),
        (5, "squeeze_factor", 4),
        (10, "activation", "sigmoid"),
        (9, "name", "dropout"),
    ],
)
def test_an_entry_that_networks_here_lack_is_named(number, key, value, given, tmp_path):
    conf = yaml.safe_load(given["conf"].read_text())
    conf["architecture"][number - 1][key] = value
    (tmp_path / "gen.conf").write_text(yaml.safe_dump(conf))
    arguments = {**given, "conf": tmp_path / "gen.conf"}
    message = refused(tmp_path / "run", **arguments, system=SYSTEM)
    assert f"gen.conf: entry {number} (" in message
    assert (value if key == "name" else key) in message


@pytest.mark.parametrize(
    "text",
    ["", "architecture: 3", "architecture: [3]", "architecture: [", "architecture: [name: conv]"],
)
def test_what_is_no_conf_is_refused(text, tmp_path):
    (tmp_path / "gen.conf").write_text(text)
    with pytest.raises(InputError, match=r"gen\.conf"):
        Conf(tmp_path / "gen.conf", "generator")


def test_a_conf_is_asked_for(given, tmp_path):
    assert "--conf" in refused(tmp_path / "run", given["checkpoint"], SYSTEM)
    arguments = {**given, "discriminator_conf": None}
    message = refused(tmp_path / "run", **arguments, system=SYSTEM)
    assert "--discriminator-conf" in message


def test_a_conf_of_other_shapes_is_doubted(given, tmp_path):
    conf = tmp_path / "other.conf"
    conf.write_text(given["conf"].read_text().replace("(32, 128)", "(40, 128)"))
    message = refused(tmp_path / "run", given["checkpoint"], SYSTEM, conf=conf)
    assert "model.0.0.module.weight_bar" in message
    assert f"is {conf} its .conf?" in message


def test_a_conf_of_other_layers_is_doubted(given, tmp_path):
    conf = tmp_path / "dcgan.conf"
    conf.write_text(str(recorded("attn_gan_pytorch_dcgan")["generator_conf"]))
    message = refused(tmp_path / "run", given["checkpoint"], SYSTEM, conf=conf)
    assert f"is {conf} its .conf?" in message


def test_a_missing_and_a_surplus_tensor_are_named(given, tmp_path):
    arguments = {"system": SYSTEM, "conf": given["conf"]}
    path = changed(given["checkpoint"], tmp_path, remove=["model.1.gamma"])
    message = refused(tmp_path / "run", path, **arguments)
    assert "model.1.gamma is missing" in message
    path = changed(given["checkpoint"], tmp_path, add=["model.1.delta"])
    assert "model.1.delta" in refused(tmp_path / "run", path, **arguments)


def test_other_networks_are_told_apart(given, tmp_path):
    run = tmp_path / "run"
    conf = {"conf": given["conf"]}
    message = refused(run, given["discriminator"], SYSTEM, **conf)
    assert "looks like a discriminator of attn-gan-pytorch" in message
    message = refused(run, given["checkpoint"], "heykeetae")
    assert "looks like a generator of attn-gan-pytorch" in message
    other = tmp_path / "1_G.pth"
    torch.save(zeros(recorded("heykeetae_latent100"), "generator"), other)
    assert "looks like a generator of heykeetae" in refused(run, other, SYSTEM, **conf)


def test_networks_of_two_sizes_are_refused(given, tmp_path):
    """A discriminator without its last but one stage is of pictures of 32x32."""
    conf = yaml.safe_load(given["discriminator_conf"].read_text())
    entries = conf["architecture"]
    conf["architecture"] = [*entries[:6], entries[-1]]
    (tmp_path / "dis.conf").write_text(yaml.safe_dump(conf))
    arguments = {**given, "discriminator_conf": tmp_path / "dis.conf"}
    message = refused(tmp_path / "run", **arguments, system=SYSTEM)
    assert "of 64" in message and "of 32" in message
