"""What files may bring: tensors, and nothing else."""

import pickle

import h5py
import numpy as np
import pytest

from keras_sagan.errors import InputError
from keras_sagan.importing.files import read

torch = pytest.importorskip("torch", reason="PyTorch writes and reads these files")
TENSORS = {"a.weight": np.arange(6.0, dtype="float32").reshape(2, 3), "b": np.float32([1, 2])}


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


def of_torch():
    return {name: torch.tensor(value) for name, value in TENSORS.items()}


def check(state):
    assert sorted(state.names) == sorted(TENSORS)
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(state.take(name), value)
    assert state.not_used() == {}


@pytest.mark.parametrize("is_new", [True, False])
def test_files_of_pytorch_of_either_format(tmp_path, is_new):
    check(read(saved(tmp_path / "x.pth", of_torch(), _use_new_zipfile_serialization=is_new)))


def test_a_state_dict_beside_other_things(tmp_path):
    content = {"state_dict": of_torch(), "step": 7, "optimizer": {"state": {0: torch.ones(2)}}}
    state = read(saved(tmp_path / "x.pth", content))
    check(state)
    assert state.others["step"] == 7


def test_scalars_of_numpy_are_numbers(tmp_path):
    content = {"state_dict": of_torch(), "best": np.float64(1.5), "n": np.int64(3)}
    assert read(saved(tmp_path / "x.pth", content)).others == {"best": 1.5, "n": 3}


def test_tensors_of_half_precision(tmp_path):
    content = {"x": torch.tensor([1.5, 2.0], dtype=torch.bfloat16)}
    value = read(saved(tmp_path / "x.pth", content)).take("x")
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, [1.5, 2.0])


def test_safetensors(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    numpy.save_file(TENSORS, tmp_path / "x.safetensors")
    check(read(tmp_path / "x.safetensors"))
    whole = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-3])
    with pytest.raises(InputError, match=r"cut.safetensors: it is damaged, or cut off"):
        read(tmp_path / "cut.safetensors")


def test_hdf5(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, value in TENSORS.items():
            file[f"group/{name}"] = value
    assert read(tmp_path / "x.h5").names == ["group/a.weight", "group/b"]
    (tmp_path / "cut.h5").write_bytes((tmp_path / "x.h5").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"cut.h5: it is damaged, or cut off"):
        read(tmp_path / "cut.h5")


def test_checkpoints_of_tensorflow(tmp_path):
    tf = pytest.importorskip("tensorflow", reason="TensorFlow writes and reads these files")
    names = list(TENSORS)
    values = [tf.constant(TENSORS[name]) for name in names]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "model-7"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=values,
    )
    check(read(tmp_path / "model-7"))
    with pytest.raises(InputError, match=r"name the checkpoint without .index, as .*/model-7$"):
        read(tmp_path / "model-7.index")
    (data,) = tmp_path.glob("model-7.data*")
    data.unlink()
    with pytest.raises(InputError, match="model-7: it is damaged, or incomplete"):
        read(tmp_path / "model-7").take("b")


class Executes:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("is_new", [True, False])
def test_what_wants_to_run_is_refused(tmp_path, is_new):
    trap = tmp_path / "trapped"
    content = {"state_dict": of_torch(), "meta": Executes(trap)}
    path = saved(tmp_path / "x.pth", content, _use_new_zipfile_serialization=is_new)
    message = "it wants to load .*open.*, which may run code: only tensors and numbers are read"
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert "\n" not in str(error.value)
    assert not trap.exists()
    torch.load(path, weights_only=False)  # the trap would have worked
    assert trap.exists()


def test_a_bare_pickle_is_refused(tmp_path):
    (tmp_path / "x.pth").write_bytes(pickle.dumps(Executes(tmp_path / "trapped")))
    with pytest.raises(InputError, match=r"x.pth: "):
        read(tmp_path / "x.pth")
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_that_was_cut_off(tmp_path, share, is_new):
    content = {"x": torch.ones(5000), **of_torch()}
    path = saved(tmp_path / "x.pth", content, _use_new_zipfile_serialization=is_new)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"x.pth: it is damaged, ") as error:
        read(path)
    assert "\n" not in str(error.value)


def test_other_files(tmp_path):
    (tmp_path / "x.pth").write_text("not a checkpoint at all")
    with pytest.raises(InputError, match=r"x.pth: it is damaged, or not a file of PyTorch"):
        read(tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"y.pth: there is no such file"):
        read(tmp_path / "y.pth")
    with pytest.raises(InputError, match="is a folder: name a checkpoint in it"):
        read(tmp_path)
    with pytest.raises(InputError, match="it holds a list, and no tensors by name"):
        read(saved(tmp_path / "z.pth", [torch.ones(2)]))
    with pytest.raises(InputError, match="it holds no tensors"):
        read(saved(tmp_path / "z.pth", {"step": 1}))
