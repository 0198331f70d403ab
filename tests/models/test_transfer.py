"""Weights in a network of other classes, against networks whose tables were averaged by hand."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_sagan.layers import ConditionalBatchNorm
from keras_sagan.models import FAMILIES
from keras_sagan.models.transfer import transfer

RNG = np.random.default_rng(0)
SHARED = {"image_size": 32, "width": 8, "attention": (8,)}
OLD = 3  # classes
# The ResNet, which takes the longest to make, has quick tests of what it alone has.
SOME = ["dcgan", "full_attention", pytest.param("resnet", marks=pytest.mark.slow)]
LATENTS = RNG.normal(size=(4, 8)).astype("float32")
IMAGES = RNG.uniform(-1, 1, (4, 32, 32, 3)).astype("float32")


def generator_of(family, num_classes, **options):
    network = FAMILIES[family][0](latent_dim=8, num_classes=num_classes, **SHARED, **options)
    return randomised(network)


def discriminator_of(family, num_classes, **options):
    return randomised(FAMILIES[family][1](num_classes=num_classes, **SHARED, **options))


def randomised(network):
    for variable in network.variables:
        values = RNG.uniform(0.5, 1, variable.shape)
        variable.assign(values if "variance" in variable.path else values - 0.7)
    return network


def output_of(network):
    """Of the same inputs for all; with classes, of each in turn."""
    name, values = ("image", IMAGES) if "image" in network.input else ("latent", LATENTS)
    inputs = {name: values}
    if network.num_classes:
        inputs["label"] = np.arange(len(values), dtype="int32") % network.num_classes
    return ops.convert_to_numpy(network(inputs))


def average_tables(network):
    """Gives each table of `OLD` classes the mean of its rows, in place of each."""
    for variable in network.variables:
        if len(variable.shape) == 2 and variable.shape[0] == OLD:
            mean = np.array(variable, "float64").mean(axis=0)
            variable.assign(np.tile(mean, (OLD, 1)))


def without_classes(discriminator):
    """Gives all classes the same share of the logit: none."""
    table = discriminator.get_layer("class_embedding").layer.embeddings
    table.assign(np.zeros(table.shape))


# Sums of float32 in another order.
close = {"rtol": 1e-5, "atol": 1e-5}


@pytest.mark.parametrize("make", [generator_of, discriminator_of])
@pytest.mark.parametrize("family", SOME)
def test_of_as_many_classes_all_is_the_same(family, make):
    source, target = make(family, OLD), make(family, OLD)
    assert transfer(source, target) == []
    for old, new in zip(source.get_weights(), target.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"self_modulation": True}, marks=pytest.mark.slow),
        {"self_modulation": True, "mapping_layers": 1},
    ],
)
@pytest.mark.parametrize("family", SOME)
def test_new_classes_draw_what_the_mean_of_the_old_draws(family, options):
    source = generator_of(family, OLD, **options)
    targets = [generator_of(family, classes, **options) for classes in (2, None)]
    for target in targets:
        assert transfer(source, target) == []
    average_tables(source)
    expected = output_of(source)
    for target in targets:
        np.testing.assert_allclose(output_of(target), expected, **close)


@pytest.mark.parametrize("options", [{}, {"self_modulation": True}])
@pytest.mark.parametrize("family", SOME)
def test_classes_begin_as_the_network_without_any(family, options):
    source, target = generator_of(family, None, **options), generator_of(family, 2, **options)
    assert transfer(source, target) == []
    np.testing.assert_allclose(output_of(target), output_of(source), **close)


@pytest.mark.parametrize("family", SOME)
def test_a_discriminator_keeps_all_but_its_classes(family):
    """Those of the source count nothing where the target has none, and its own stay as they are."""
    source, target = discriminator_of(family, OLD), discriminator_of(family, None)
    assert transfer(source, target) == []
    without_classes(source)
    np.testing.assert_allclose(output_of(target), output_of(source), **close)
    new = discriminator_of(family, 2)
    before = [np.array(w) for w in new.get_layer("class_embedding").weights]
    assert transfer(target, new) == ["class_embedding"]
    for weight, old in zip(new.get_layer("class_embedding").weights, before, strict=True):
        np.testing.assert_array_equal(np.array(weight), old)
    without_classes(new)
    np.testing.assert_allclose(output_of(new), output_of(target), **close)


@pytest.mark.parametrize("axis", ["output", "first"])
def test_an_embedding_of_equal_rows_is_normalised_at_once(axis):
    """By its largest singular value, sqrt(rows) |row|, whatever the old u was."""
    source = discriminator_of("dcgan", OLD, spectral_norm_axis=axis)
    table = source.get_layer("class_embedding")
    rows = np.array(table.layer.embeddings)
    rows[:, 0] = 0.25, -0.25, 0  # classes differ here, and have nothing of it in the mean
    table.layer.embeddings.assign(rows)
    if axis == "output":
        table.u.assign(np.eye(1, rows.shape[1]))
    mean = rows.astype("float64").mean(axis=0)
    # Fresh, as a new run has it: a random u.
    target = FAMILIES["dcgan"][1](num_classes=5, spectral_norm_axis=axis, **SHARED)
    transfer(source, target)
    found = ops.convert_to_numpy(target.get_layer("class_embedding").normalized_kernel())
    expected = np.tile(mean / np.linalg.norm(mean) / np.sqrt(5), (5, 1))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    # All else along the same axis came along.
    for name in ("conv16/u", "conv4/u"):
        first, second = ({v.path: v for v in each.variables}[name] for each in (source, target))
        np.testing.assert_array_equal(np.array(second), np.array(first))


@pytest.mark.parametrize("options", [{"class_spectral_norm": True}, {"class_embedding_dim": 6}])
def test_what_is_normalised_or_embedded_counts_as_it_computes(options):
    source, target = generator_of("resnet", OLD, **options), generator_of("resnet", None)
    assert transfer(source, target) == []
    rows = np.eye(OLD, dtype="float32")
    if "class_embedding_dim" in options:
        rows = np.array(source.get_layer("class_embedding").embeddings)
    for layer in source.layers:
        if not isinstance(layer, ConditionalBatchNorm):
            continue
        gain, bias = (rows @ np.array(ops.convert_to_numpy(t)) for t in layer.tables())
        norm = target.get_layer(layer.name)
        np.testing.assert_allclose(np.array(norm.gamma), 1 + gain.mean(axis=0), **close)
        np.testing.assert_allclose(np.array(norm.beta), bias.mean(axis=0), **close)
    # The other way round there is nothing to begin with.
    assert transfer(target, generator_of("resnet", 2, **options))


@pytest.mark.parametrize("family", FAMILIES)
def test_stages_hold_all_that_a_discriminator_looks_with(family):
    discriminator = discriminator_of(family, OLD)
    stages = discriminator.stages()
    assert len(stages) == {"resnet": 4, "dcgan": 3, "full_attention": 3}[family]
    staged = [layer for stage in stages for layer in stage]
    last = {"to_logits", "dense", "class_embedding"}
    weighted = [layer for layer in discriminator.layers if layer.weights]
    assert {layer.name for layer in weighted if layer not in staged} <= last
    assert len({*staged}) == len(staged)
    for first, second in itertools.pairwise(stages):
        sizes = [max(layer.output.shape[1] for layer in stage) for stage in (first, second)]
        assert sizes[0] >= sizes[1]
    assert discriminator.get_layer("attention8") in stages[1]


@pytest.mark.parametrize("family", SOME)
def test_a_copy_is_frozen_where_the_network_is(family):
    discriminator = discriminator_of(family, None)
    assert "frozen" not in discriminator.get_config()
    for layer in discriminator.stages()[0]:
        layer.trainable = False
    config = keras.saving.serialize_keras_object(discriminator)
    copy = keras.saving.deserialize_keras_object(config)
    found, expected = ([v.path for v in n.trainable_variables] for n in (copy, discriminator))
    assert found == expected and len(found) < len(copy.variables)
    copy.set_weights(discriminator.get_weights())
    np.testing.assert_array_equal(output_of(copy), output_of(discriminator))
