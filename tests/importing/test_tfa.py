"""Weights as Keras 2 lays them out, rebuilt from what `tests/addons/keras2.py record` recorded.

`make test-addons` imports weights that Keras 2 itself wrote.
"""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph
from tfa_values import inputs_of, thinned, values_of

from keras_sagan.errors import InputError
from keras_sagan.importing import import_checkpoint
from keras_sagan.models import with_attention_maps

pytestmark = pytest.mark.slow

SHAPES = ("dcgan32", "dcgan64", "resnet32")
ROLES = ("generator", "discriminator")


class Recorded:
    """A recorded network: what it computed, and its weights by layer, which tests may change."""

    def __init__(self, shape, role):
        path = Path(__file__).parent / f"fixtures/tfa_{shape}.npz"
        arrays = np.load(path)
        arrays = {k.removeprefix(f"{role}_"): arrays[k] for k in arrays if k.startswith(role)}
        layers = json.loads(str(arrays.pop("layers")))
        self.graph = TrackableObjectGraph.FromString(arrays.pop("graph").tobytes())
        self.outputs, *self.maps = arrays.values()
        self.inputs = inputs_of(shape, role)
        shapes = {name: shape for _, weights in layers for name, shape in weights.items()}
        values = values_of({name.removesuffix(":0"): shape for name, shape in shapes.items()})
        self.layers = {
            layer: {name: values[name.removesuffix(":0")] for name in weights}
            for layer, weights in layers
        }

    def write_h5(self, path):
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [name.encode() for name in self.layers]
            for layer, weights in self.layers.items():
                group = file.create_group(layer)
                group.attrs["weight_names"] = [name.encode() for name in weights]
                for name, value in weights.items():
                    group[name] = value
        return path

    def tensors(self):
        """Those of the checkpoint, by name."""
        values = {k.removesuffix(":0"): v for w in self.layers.values() for k, v in w.items()}
        attributes = [one for node in self.graph.nodes for one in node.attributes]
        # Of the optimizer there are only a count and a rate.
        return {one.checkpoint_key: values.get(one.full_name, 0.0) for one in attributes}

    def write_checkpoint(self, path, graph=True):
        tensors = self.tensors()
        if graph:
            tensors["_CHECKPOINTABLE_OBJECT_GRAPH"] = self.graph.SerializeToString()
        tf.raw_ops.SaveV2(
            prefix=str(path),
            tensor_names=list(tensors),
            shape_and_slices=[""] * len(tensors),
            tensors=list(tensors.values()),
        )
        return path


def write(folder, shape, form="h5"):
    """Writes both networks, and returns their paths."""
    if form == "h5":
        return [Recorded(shape, role).write_h5(folder / f"{role}.h5") for role in ROLES]
    return [Recorded(shape, role).write_checkpoint(folder / role) for role in ROLES]


# Sums in another order, and a kernel that is divided and multiplied, leave 1e-6 or so.
@pytest.mark.parametrize("form", ["h5", "checkpoint"])
@pytest.mark.parametrize("shape", SHAPES)
def test_imports_what_keras_2_computes(shape, form, tmp_path):
    generator, discriminator = write(tmp_path, shape, form)
    networks = import_checkpoint(generator, "tfa", tmp_path / "run", discriminator)
    for role, tolerance in zip(ROLES, (1e-4, 1e-3), strict=True):
        recorded, model = Recorded(shape, role), getattr(networks, role)
        (name,) = model.input
        output, *maps = with_attention_maps(model)({name: recorded.inputs}).values()
        output = thinned("outputs", np.asarray(output))
        np.testing.assert_allclose(output, recorded.outputs, atol=tolerance)
        for attention, expected in zip(maps, recorded.maps, strict=True):
            attention = thinned("map", np.asarray(attention))
            np.testing.assert_allclose(attention, expected, atol=1e-4)
        assert model.spectral_norm == "scaled"


def test_sigma_is_that_of_the_stored_kernel(tmp_path):
    generator, _ = write(tmp_path, "dcgan32")
    model = import_checkpoint(generator, "tfa", tmp_path / "run").generator
    for name in ("conv4", "conv8", "conv16"):
        layer = model.get_layer(name)
        kernel = np.asarray(layer.layer.kernel, np.float64)
        sigma = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]))[1][0]
        np.testing.assert_allclose(float(layer.factor), sigma, rtol=1e-6)
        before = np.asarray(layer.u)
        layer(np.ones((1, 1, 1, kernel.shape[-1]), np.float32), training=True)
        np.testing.assert_allclose(layer.u, before, atol=1e-5)  # it was converged


def test_a_whole_saved_model_is_read(tmp_path):
    """As of `model.save`: the weights lie deeper, beside those of the optimizer."""
    recorded = Recorded("dcgan32", "generator")
    plain = recorded.write_h5(tmp_path / "weights.h5")
    with h5py.File(plain) as weights, h5py.File(tmp_path / "model.h5", "w") as model:
        weights.copy("/", model, "model_weights")
        model["optimizer_weights/Adam/iteration:0"] = 3
    runs = (tmp_path / "run1", tmp_path / "run2")
    models = [
        import_checkpoint(path, "tfa", run).generator
        for path, run in zip((plain, tmp_path / "model.h5"), runs, strict=True)
    ]
    images = [model({"latent": recorded.inputs}) for model in models]
    np.testing.assert_array_equal(*images)


def test_a_checkpoint_of_a_whole_program_is_read(tmp_path):
    """As of `tf.train.Checkpoint(generator=..., discriminator=..., step=..., ...)`."""
    recorded = [Recorded("dcgan32", role) for role in ROLES]
    objects = {role: module_of(one.tensors()) for role, one in zip(ROLES, recorded, strict=True)}
    optimizer = module_of({"_iterations": 3})
    checkpoint = tf.train.Checkpoint(**objects, generator_optimizer=optimizer, step=tf.Variable(3))
    path = checkpoint.write(str(tmp_path / "both"))
    networks = import_checkpoint(path, "tfa", tmp_path / "run")
    images = thinned("outputs", np.asarray(networks.generator({"latent": recorded[0].inputs})))
    np.testing.assert_allclose(images, recorded[0].outputs, atol=1e-4)
    logits = networks.discriminator({"image": recorded[1].inputs})
    np.testing.assert_allclose(logits, recorded[1].outputs, atol=1e-3)


def module_of(tensors):
    """Modules within modules, that hold variables under these paths."""
    root = tf.Module()
    for path, value in tensors.items():
        *places, name = path.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE").split("/")
        module = root
        for place in places:
            if not hasattr(module, place):
                setattr(module, place, tf.Module())
            module = getattr(module, place)
        setattr(module, name, tf.Variable(value))
    return root


def test_a_network_that_was_not_wrapped_is_not_normalised(tmp_path):
    recorded = Recorded("dcgan32", "generator")
    for weights in recorded.layers.values():
        for name in [name for name in weights if name.endswith("sn_u:0")]:
            del weights[name]
    path = recorded.write_h5(tmp_path / "generator.h5")
    model = import_checkpoint(path, "tfa", tmp_path / "run").generator
    assert model.spectral_norm is False
    images = thinned("outputs", np.asarray(model({"latent": recorded.inputs})))
    np.testing.assert_allclose(images, recorded.outputs, atol=1e-4)


def message_of(folder, path, discriminator=None):
    with pytest.raises(InputError) as error:
        import_checkpoint(path, "tfa", folder / "run", discriminator)
    assert not (folder / "run").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def message_after(change, folder, shape, role="generator"):
    """What is said of a network after `change(layers)`."""
    recorded = Recorded(shape, role)
    change(recorded.layers)
    path = recorded.write_h5(folder / "changed.h5")
    if role == "generator":
        return message_of(folder, path)
    generator = Recorded(shape, "generator").write_h5(folder / "generator.h5")
    return message_of(folder, generator, path)


def test_a_missing_tensor(tmp_path):
    path = Recorded("dcgan32", "generator").write_h5(tmp_path / "generator.h5")
    with h5py.File(path, "a") as file:
        del file["spectral_normalization/spectral_normalization/bias:0"]
    assert "spectral_normalization/bias:0 is missing" in message_of(tmp_path, path)


def test_a_missing_weight_of_a_layer(tmp_path):
    def change(layers):
        del layers["batch_normalization_1"]["batch_normalization_1/moving_variance:0"]

    message = message_after(change, tmp_path, "dcgan32")
    assert "batch_normalization_1 is no convolution" in message


def test_a_missing_layer(tmp_path):
    def change(layers):
        del layers["batch_normalization_2"]

    message = message_after(change, tmp_path, "dcgan32")
    assert "is attention, where DCGANGenerator has a batch norm (norm16)" in message


def test_a_surplus_tensor(tmp_path):
    def change(layers):
        layers["spectral_normalization"]["spectral_normalization/mask:0"] = np.ones(3)

    message = message_after(change, tmp_path, "dcgan32")
    assert "spectral_normalization/mask:0" in message


def test_layers_in_another_order(tmp_path):
    def change(layers):
        layers["batch_normalization"] = layers.pop("batch_normalization")

    message = message_after(change, tmp_path, "dcgan32")
    assert "a 4x4 kernel, where DCGANGenerator has a batch norm (norm4)" in message


def test_attention_where_no_network_of_ours_has_it(tmp_path):
    def change(layers):
        for name in ("attention", list(layers)[-1]):  # after the last block, before the logit
            layers[name] = layers.pop(name)

    message = message_after(change, tmp_path, "resnet32", "discriminator")
    assert "is a 3x3 kernel, where ResNetDiscriminator has attention (attention8)" in message


def test_a_bias_of_each_location(tmp_path):
    def change(layers):
        weights = next(iter(layers.values()))
        (name,) = [name for name in weights if "kernel" in name]
        weights[name.replace("kernel", "bias")] = np.zeros(weights[name].shape[1])

    message = message_after(change, tmp_path, "dcgan64")
    assert "is a bias of each location of the 4x4 map" in message


def test_kernels_of_another_size(tmp_path):
    def change(layers):
        for weights in layers.values():
            for name, value in weights.items():
                if value.shape[:2] == (4, 4):
                    weights[name] = np.zeros((5, 5, *value.shape[2:]))

    message = message_after(change, tmp_path, "dcgan32")
    assert "neither the 4x4 kernels of a DCGAN nor the 3x3 ones of a ResNet" in message


def test_another_number_of_stages(tmp_path):
    def change(layers):
        del layers["spectral_normalization_1"]

    message = message_after(change, tmp_path, "dcgan32")
    assert "it has 2 stages, and networks of ours have 3, 4, 5" in message


def test_another_width(tmp_path):
    def change(layers):
        weights = layers["spectral_normalization_1"]
        weights["spectral_normalization_1/kernel:0"] = np.zeros((4, 4, 24, 32))

    message = message_after(change, tmp_path, "dcgan32")
    assert "spectral_normalization_1/kernel:0 has the shape (4, 4, 24, 32)" in message


def test_the_other_network(tmp_path):
    _, discriminator = write(tmp_path, "dcgan32")
    message = message_of(tmp_path, discriminator)
    assert "is no generator of tfa: it looks like a discriminator of tfa" in message


def test_a_truncated_file(tmp_path):
    generator, _ = write(tmp_path, "dcgan32")
    generator.write_bytes(generator.read_bytes()[:20_000])
    assert "damaged, or cut off" in message_of(tmp_path, generator)


def test_a_file_without_the_order(tmp_path):
    path = Recorded("dcgan32", "generator").write_h5(tmp_path / "generator.h5")
    with h5py.File(path, "a") as file:
        del file.attrs["layer_names"]
    assert "does not say in which order its layers come" in message_of(tmp_path, path)


def test_a_checkpoint_without_its_objects(tmp_path):
    path = Recorded("dcgan32", "generator").write_checkpoint(tmp_path / "generator", graph=False)
    assert "it has no object graph" in message_of(tmp_path, path)
