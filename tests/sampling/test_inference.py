import keras
import numpy as np
import others
import pytest
from generators import trained

from keras_sagan.layers import ConditionalBatchNorm, FullAttention2D, SpectralNorm
from keras_sagan.models import map_shapes, with_attention_maps
from keras_sagan.sampling import generator_inputs
from keras_sagan.sampling.inference import InferenceModel, inference_model

GENERATORS = [
    pytest.param("resnet", None, marks=pytest.mark.slow),
    ("resnet", 3),
    ("dcgan", None),
    pytest.param("dcgan", 3, marks=pytest.mark.slow),
    pytest.param("full_attention", None, marks=pytest.mark.slow),
    ("full_attention", 3),
]


@pytest.mark.parametrize(("family", "num_classes"), GENERATORS)
def test_it_gives_the_same_pictures_without_the_layers_of_training(family, num_classes):
    generator = trained(family, num_classes)
    inputs = generator_inputs(generator, range(4))
    expected = generator.predict(inputs, verbose=0)
    weights = generator.get_weights()
    model = inference_model(generator)
    # Rounding of float32 over a dozen layers; pictures vary by 0.5.
    np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, atol=1e-5)
    assert expected.std() > 0.2
    training = (SpectralNorm, keras.layers.BatchNormalization, ConditionalBatchNorm)
    assert any(isinstance(layer, training) for layer in generator._flatten_layers())
    assert not any(isinstance(layer, training) for layer in model._flatten_layers())
    for before, after in zip(weights, generator.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_batch_norm_falls_into_the_convolution_before_it():
    model = inference_model(trained("dcgan", None))
    assert {type(layer).__name__ for layer in model.layers} == {
        "InputLayer", "Reshape", "Conv2DTranspose", "ReLU", "SelfAttention2D", "Activation"
    }  # fmt: skip


def test_full_attention_becomes_its_convolutions_and_a_blend():
    generator = trained("full_attention", None)
    model = inference_model(generator)
    assert {type(layer).__name__ for layer in model.layers} == {
        "InputLayer", "Reshape", "Conv2DTranspose", "BlendedAttention", "ReLU", "SelfAttention2D",
        "Activation",
    }  # fmt: skip
    inputs = generator_inputs(generator, range(4))
    assert map_shapes(model) == map_shapes(generator)
    maps, expected = (with_attention_maps(x).predict(inputs, verbose=0) for x in (model, generator))
    for name, values in expected.items():
        # Logits of attention reach 50 here: a softmax takes their rounding times itself.
        np.testing.assert_allclose(maps[name], values, atol=2e-5, err_msg=name)


def test_full_attention_that_is_used_twice():
    inputs = keras.Input((4, 4, 8))
    full = FullAttention2D(8, 3, 1, negative_slope=0.2)
    generator = keras.Model(inputs, full(full(inputs)))
    full.gamma.assign(0.5)
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 8)).astype("float32")
    np.testing.assert_allclose(inference_model(generator)(x), generator(x), atol=1e-5)


def test_a_convolution_that_something_else_uses_too_stays():
    inputs = keras.Input((4, 4, 3))
    conv = keras.layers.Conv2D(5, 3, use_bias=False)(inputs)
    norm = keras.layers.BatchNormalization(scale=False)(conv)
    generator = keras.Model(inputs, keras.layers.Concatenate()([conv, norm]))
    generator.layers[2].moving_mean.assign(np.arange(5.0))
    generator.layers[2].moving_variance.assign(np.arange(5.0) + 0.5)
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    np.testing.assert_allclose(inference_model(generator)(x), generator(x), atol=1e-5)


def test_a_norm_after_an_activation_keeps_its_place():
    inputs = keras.Input((4, 4, 3))
    conv = keras.layers.Conv2D(5, 3, activation="relu")(inputs)
    generator = keras.Model(inputs, keras.layers.BatchNormalization()(conv))
    generator.layers[2].moving_mean.assign(np.arange(5.0))
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    np.testing.assert_allclose(inference_model(generator)(x), generator(x), atol=1e-5)


def test_a_norm_of_rows_keeps_them():
    inputs = keras.Input((4, 4, 4))
    conv = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    generator = keras.Model(inputs, keras.layers.BatchNormalization(axis=1)(conv))
    generator.layers[2].moving_mean.assign(np.arange(4.0))
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 4)).astype("float32")
    np.testing.assert_allclose(inference_model(generator)(x), generator(x), atol=1e-5)


@pytest.mark.parametrize(("family", "num_classes"), GENERATORS)
def test_an_update_takes_over_all_weights(family, num_classes):
    generator = trained(family, num_classes)
    inference = InferenceModel(generator)
    rng = np.random.default_rng(1)
    for variable in generator.variables:  # variances must stay positive
        variable.assign(np.asarray(variable) * rng.uniform(0.5, 1.5, variable.shape))
    inputs = generator_inputs(generator, range(4))
    expected = np.asarray(generator(inputs))
    before = np.asarray(inference.model(inputs))
    inference.update()
    np.testing.assert_allclose(inference.model(inputs), expected, atol=1e-5)
    assert np.abs(before - expected).mean() > 0.1


@pytest.mark.parametrize("name", others.PARAMETERS)
def test_layers_of_other_people_compute_what_they_compute(name):
    generator = others.generator_of(*others.CASES[name]())
    latent = np.random.default_rng(1).normal(size=(3, 8)).astype("float32")
    expected = np.asarray(generator({"latent": latent}))
    assert expected.std() > 1e-3
    inference = InferenceModel(generator)
    np.testing.assert_allclose(inference.model({"latent": latent}), expected, atol=1e-5)
    for variable in generator.variables:
        if "float" in variable.dtype:
            variable.assign(np.asarray(variable) * 0.7)
    inference.update()
    expected = np.asarray(generator({"latent": latent}))
    np.testing.assert_allclose(inference.model({"latent": latent}), expected, atol=1e-5)


def test_a_layer_that_does_not_tell_its_arguments_is_named():
    class Scaled(keras.layers.Layer):
        def __init__(self, factor):
            super().__init__(name="my_scale")
            self.factor = factor

        def call(self, inputs):
            return self.factor * inputs

    generator = others.generator_of(Scaled(np.float32(2)))
    with pytest.raises(ValueError, match="my_scale cannot be copied: Scaled needs a get_config"):
        InferenceModel(generator)


def test_layers_in_a_wrapper_are_float32_too():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        generator = others.generator_of(keras.layers.TimeDistributed(keras.layers.Dense(8)))
    finally:
        keras.config.set_dtype_policy("float32")
    layers = list(inference_model(generator)._flatten_layers())
    assert {layer.compute_dtype for layer in layers} == {"float32"}


def test_a_layer_in_a_wrapper_that_does_not_tell_its_arguments_is_named():
    class Scaled(keras.layers.Dense):
        def __init__(self, size, factor):
            super().__init__(size, name="my_scale")

    wrapper = keras.layers.TimeDistributed(Scaled(8, np.float32(2)))
    with pytest.raises(ValueError, match="my_scale cannot be copied: Scaled needs a get_config"):
        InferenceModel(others.generator_of(wrapper))
