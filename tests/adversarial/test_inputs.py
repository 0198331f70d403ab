"""What `fit` takes, and what it refuses before it trains."""

import importlib.util

import keras
import numpy as np
import pytest
from gans import IMAGES as LARGE_IMAGES
from gans import LABELS, tiny_gan, weights_of

from keras_sagan.adversarial.inputs import check_values, unpack

IMAGES = LARGE_IMAGES[:, :8, :8].copy()
IMAGES[0, 0, 0, 0], IMAGES[1, 0, 0, 0] = 0, 255
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
FLOATS = IMAGES.astype("float32") / 127.5 - 1


def losses(gan, *data, **options):
    history = gan.fit(*data, batch_size=8, shuffle=False, verbose=0, **options).history
    assert gan.step > 0
    return history["discriminator_loss"] + history["generator_loss"]


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint16"])
def test_integers_of_any_length_are_0_to_255(dtype):
    expected = losses(tiny_gan(), IMAGES[:8], LABELS[:8])
    found = losses(tiny_gan(), IMAGES[:8].astype(dtype), LABELS[:8, None])
    np.testing.assert_array_equal(found, expected)


def batches(images, labels, kind):
    """The same data as fit takes it: arrays, a generator, a dataset, one of dictionaries."""
    if kind == "arrays":
        return images, labels
    if kind == "generator":
        return (((images[i : i + 8], labels[i : i + 8]) for i in (0, 8)),)
    import tensorflow as tf

    data = {"image": images, "label": labels} if kind == "dictionaries" else (images, labels)
    return (tf.data.Dataset.from_tensor_slices(data).batch(8),)


KINDS = ["arrays", "generator"] + (["dataset", "dictionaries"] if ON_TENSORFLOW else [])


def fit(gan, data):
    options = {"batch_size": 8} if len(data) == 2 else {}
    return gan.fit(*data, shuffle=False, verbose=0, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_looking_at_the_first_batch_takes_nothing_away(kind):
    gan = tiny_gan()
    fit(gan, batches(FLOATS[:16], LABELS[:16], kind))
    assert (gan.step, gan.images_seen) == (2, 16)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_floats_of_any_length_become_float32(dtype):
    images, _ = unpack((FLOATS.astype(dtype), None), conditional=False)
    assert keras.backend.standardize_dtype(images.dtype) == "float32"


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed")
def test_loaders_of_pytorch_are_looked_at_too():
    import torch

    def loader(images):
        data = torch.utils.data.TensorDataset(*map(torch.from_numpy, (images[:16], LABELS[:16])))
        return (torch.utils.data.DataLoader(data, batch_size=8),)

    gan = tiny_gan()
    with pytest.raises(ValueError, match="got values from 0 to 255"):
        fit(gan, loader(IMAGES.astype("float32")))
    fit(gan, loader(FLOATS))
    assert (gan.step, gan.images_seen) == (2, 16)


def with_label(label):
    labels = LABELS[:16].copy()
    labels[3] = label
    return labels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.astype("float32"), None, r"in \[-1, 1\], got values from 0 to 255: give images /"),
        (FLOATS * 2, None, r"in \[-1, 1\], got values from -2 to 2"),
        (IMAGES.astype("int32") * 2, None, "integer images must be from 0 to 255, .* 0 to 510"),
        (IMAGES > 100, None, "integers from 0 to 255 or float in .*, got bool"),
        (LARGE_IMAGES, None, "images are 32x32x3, but the networks take 8x8x3"),
        (IMAGES[..., :1], None, "images are 8x8x1, but the networks take 8x8x3"),
        (IMAGES, with_label(3), "labels must be from 0 to 2, got 0 to 3"),
        (IMAGES, with_label(-1), "labels must be from 0 to 2, got -1 to 2"),
        (IMAGES, LABELS[:16] / 2, "labels must be whole numbers"),
        (IMAGES, np.eye(3)[LABELS[:16]], r"labels must be \(batch,\), .* take the argmax"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_trained(kind, images, labels, message):
    gan = tiny_gan()
    before = weights_of(gan)
    with pytest.raises(ValueError, match=message) as error:
        fit(gan, batches(images[:16], LABELS[:16] if labels is None else labels, kind))
    assert "\n" not in str(error.value)
    assert gan.step == 0
    for now, then in zip(weights_of(gan), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="a tf.data.Dataset")
def test_datasets_that_are_not_batched_or_have_no_images_are_named():
    import tensorflow as tf

    gan = tiny_gan()
    with pytest.raises(ValueError, match=r"got \(8, 8, 3\): add .batch\(64\)"):
        gan.fit(tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)), verbose=0)
    pictures = tf.data.Dataset.from_tensor_slices({"picture": IMAGES, "label": LABELS}).batch(8)
    with pytest.raises(ValueError, match="a batch has no 'image', only 'picture', 'label'"):
        gan.fit(pictures, verbose=0)


def test_floats_from_0_to_1_are_a_warning():
    with pytest.warns(UserWarning, match=r"taken to be in \[-1, 1\], got values from 0 to 1"):
        fit(tiny_gan(), (IMAGES[:8] / np.float32(255), LABELS[:8]))


def test_models_without_classes_take_no_account_of_labels():
    data = (LARGE_IMAGES[:8], LABELS[:8] - 5)
    check_values(data, conditional=False, image_shape=(32, 32, 3), num_classes=None)
    assert unpack(data, conditional=False)[1] is None


@pytest.mark.skipif(not ON_TENSORFLOW, reason="on JAX such a label gives NaN")
def test_a_later_label_below_0_is_no_other_class():
    import tensorflow as tf

    labels = np.where(np.arange(16) == 12, -1, LABELS[:16])
    with pytest.raises(tf.errors.InvalidArgumentError, match="is not in"):
        fit(tiny_gan(), batches(IMAGES[:16], labels, "dataset"))


@pytest.mark.parametrize("steps", [2, 4])
def test_the_last_batch_of_an_epoch_may_be_any(steps):
    gan = tiny_gan(discriminator_steps=steps)
    assert np.isfinite(losses(gan, IMAGES[:17], LABELS[:17])).all()
    assert (gan.step, gan.images_seen) == (3, 17)


def test_a_batch_that_cannot_be_split_is_named():
    gan = tiny_gan(discriminator_steps=3)
    message = "batch of 8 images cannot be split into discriminator_steps=3"
    with pytest.raises(ValueError, match=message):
        fit(gan, batches(IMAGES[:16], LABELS[:16], "generator"))
    with pytest.raises(ValueError, match=message):
        gan.fit(IMAGES, LABELS, batch_size=8, verbose=0)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="a tf.data.Dataset")
def test_steps_of_a_dataset_of_unknown_size_are_those_that_took_place():
    import tensorflow as tf

    gan = tiny_gan()
    data = tf.data.Dataset.from_tensor_slices((IMAGES[:24], LABELS[:24])).batch(8)
    gan.fit(data.filter(lambda images, labels: True), epochs=2, verbose=0)
    assert (gan.step, gan.images_seen) == (6, 48)
    optimizers = (gan.generator_optimizer, gan.discriminator_optimizer)
    assert [int(optimizer.iterations) for optimizer in optimizers] == [6, 6]
