import pytest
from torch_checkpoints import assert_as_recorded, recorded, tensors, zeros

from keras_sagan.errors import InputError
from keras_sagan.importing import import_checkpoint

torch = pytest.importorskip("torch")


def written(folder, record, prefix="", values=tensors):
    """Both checkpoints, as its trainer writes them after 1,200 steps."""
    paths = {"generator": folder / "1200_G.pth", "discriminator": folder / "1200_D.pth"}
    for network, path in paths.items():
        state = values(record, network)
        torch.save({f"{prefix}{name}": tensor for name, tensor in state.items()}, path)
    return paths


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    record = recorded("heykeetae_latent128")
    return written(tmp_path_factory.mktemp("heykeetae"), record, values=zeros)


# With nn.DataParallel, all names begin with "module.".
@pytest.mark.parametrize(
    ("name", "prefix"),
    [("latent128", ""), pytest.param("latent100", "module.", marks=pytest.mark.slow)],
)
def test_imports_what_its_code_computes(name, prefix, tmp_path):
    record = recorded(f"heykeetae_{name}")
    paths = written(tmp_path, record, prefix)
    run = tmp_path / "run"
    networks = import_checkpoint(
        paths["generator"], "heykeetae", run, discriminator=paths["discriminator"]
    )
    assert_as_recorded(networks, record)
    assert (run / "checkpoints" / "00001200" / "generator.keras").exists()


def changed(path, tmp_path, remove=(), add=()):
    state = torch.load(path, weights_only=True)
    state = {name: tensor for name, tensor in state.items() if name not in remove}
    state.update((name, torch.ones(3)) for name in add)
    changed_path = tmp_path / path.name
    torch.save(state, changed_path)
    return changed_path


def refused(run, *arguments, **keywords):
    with pytest.raises(InputError) as error:
        import_checkpoint(*arguments, run_dir=run, **keywords)
    assert not run.exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_missing_tensor_is_named(paths, tmp_path):
    path = changed(paths["generator"], tmp_path, remove=["attn1.gamma"])
    assert "attn1.gamma is missing" in refused(tmp_path / "run", path, "heykeetae")


def test_a_surplus_tensor_is_named(paths, tmp_path):
    path = changed(paths["generator"], tmp_path, add=["l5.0.weight"])
    assert "l5.0.weight" in refused(tmp_path / "run", path, "heykeetae")


def test_a_surplus_tensor_of_the_discriminator_is_named(paths, tmp_path):
    path = changed(paths["discriminator"], tmp_path, add=["l5.0.weight"])
    message = refused(tmp_path / "run", paths["generator"], "heykeetae", discriminator=path)
    assert "l5.0.weight" in message


def test_the_other_network_is_told_apart(paths, tmp_path):
    run, generator, discriminator = tmp_path / "run", paths["generator"], paths["discriminator"]
    assert "looks like a discriminator of heykeetae" in refused(run, discriminator, "heykeetae")
    message = refused(run, generator, "heykeetae", discriminator=generator)
    assert "looks like a generator of heykeetae" in message


def test_another_width_is_refused(paths, tmp_path):
    """Its attention has 128 and 64 channels whatever the width, so that no other one runs."""
    state = torch.load(paths["generator"], weights_only=True)
    state["l1.0.module.weight_bar"] = torch.ones(128, 256, 4, 4)
    torch.save(state, tmp_path / "1_G.pth")
    assert "1_G.pth" in refused(tmp_path / "run", tmp_path / "1_G.pth", "heykeetae")
