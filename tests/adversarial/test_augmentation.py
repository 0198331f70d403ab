"""What is done to the images that the discriminator sees."""

import json
import os

import keras
import numpy as np
import pytest
from derivatives import gradients_of
from gans import dataset, make_gan, tiny_gan, weights_of
from keras import ops
from programs import JAX, REPOSITORY, run, train_arguments
from run_files import rows, weights

import keras_sagan
from keras_sagan.adversarial.augmentation import Augmentation
from keras_sagan.adversarial.regularizers import LeCam, R1Penalty
from keras_sagan.sampling import draws, latents

POLICIES = ("color", "translation", "cutout")
BACKEND = keras.config.backend()
RNG = np.random.default_rng(0)


def seeds_of(name, count=12, seed=0):
    return draws.seeds(seed, 0, name, count)


def images_of(*shape):
    return RNG.uniform(-1, 1, shape).astype("float32")


def augmented(augmentation, images, seed=0):
    seen = augmentation.augment(
        ops.convert_to_tensor(images), lambda name: seeds_of(name, len(images), seed)
    )
    return ops.convert_to_numpy(seen)


def by_hand(policy, image, numbers):
    """One image by the definitions, in float64."""
    image = image.astype("float64")
    height, width = image.shape[:2]
    if policy == "color":
        brightness, saturation, contrast = numbers
        image = image + brightness - 0.5
        gray = image.mean(axis=2, keepdims=True)
        image = gray + 2 * saturation * (image - gray)
        return image.mean() + (contrast + 0.5) * (image - image.mean())
    out = np.zeros_like(image) if policy == "translation" else image.copy()
    if policy == "translation":
        down, right = (
            int(number * (2 * (size // 8) + 1)) - size // 8
            for number, size in zip(numbers, (height, width), strict=True)
        )
        for i in range(height):
            for j in range(width):
                if 0 <= i + down < height and 0 <= j + right < width:
                    out[i + down, j + right] = image[i, j]
        return out
    # The middle, which is between pixels if the length is even, is uniform from edge to edge.
    top, left = (
        int(number * (size + 1 - size // 2 % 2)) - size // 2 // 2
        for number, size in zip(numbers, (height, width), strict=True)
    )
    for i in range(max(top, 0), min(top + height // 2, height)):
        for j in range(max(left, 0), min(left + width // 2, width)):
            out[i, j] = 0
    return out


@pytest.mark.parametrize("shape", [(16, 24, 3), (9, 7, 3), (2, 2, 3)])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_is_that_of_its_definition(policy, shape):
    images = images_of(40, *shape)
    numbers = latents.numpy_uniform(np.asarray(seeds_of(policy, 40)), 4).astype("float64")
    of_policy = slice(1, 4 if policy == "color" else 3)  # the first says whether it is applied
    expected = [by_hand(policy, x, n[of_policy]) for x, n in zip(images, numbers, strict=True)]
    found = augmented(Augmentation([policy]), images)
    # Sums in float32 of numbers of about 1.
    np.testing.assert_allclose(found, expected, atol=2e-6)
    if policy == "translation" and shape[0] == 16:
        assert set(found[:, 0, 0, 0] == 0) == {True, False}  # it goes to both sides


def test_the_gradient_is_that_of_finite_differences():
    augmentation = Augmentation()
    images, upstream, direction = (images_of(12, 16, 16, 3) for _ in range(3))
    factors = ops.convert_to_tensor(upstream)

    def product(x):
        return ops.sum(augmentation.augment(x, seeds_of) * factors)

    (gradient,) = gradients_of(product, [ops.convert_to_tensor(images)])
    gradient = ops.convert_to_numpy(gradient).astype("float64")
    expected = (
        augmented(augmentation, images + direction).astype("float64")
        - augmented(augmentation, images - direction)
    ) / 2
    # It is linear but for constants, so a long step is exact to the rounding of 768 products.
    for of_image, found in zip(
        (expected * upstream).sum(axis=(1, 2, 3)),
        (gradient * direction).sum(axis=(1, 2, 3)),
        strict=True,
    ):
        assert found == pytest.approx(of_image, abs=1e-4)
    assert np.abs(gradient).max() > 0.5


def test_a_policy_is_applied_with_its_probability_and_by_itself():
    count, probability = 2000, 0.3
    images = images_of(count, 8, 8, 3)
    changed = {
        policy: (augmented(Augmentation([policy], probability), images) != images).any((1, 2, 3))
        for policy in POLICIES
    }
    # A shift of 1 in either direction leaves one of nine where it was.
    shares = {"color": 0.3, "translation": 0.3 * 8 / 9, "cutout": 0.3}
    for policy, share in shares.items():
        deviation = np.sqrt(share * (1 - share) / count)
        assert abs(changed[policy].mean() - share) < 4 * deviation, policy
    both = changed["color"] & changed["cutout"]
    assert abs(both.mean() - 0.09) < 4 * np.sqrt(0.09 * 0.91 / count)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_without_a_probability_nothing_changes(dtype):
    images = ops.cast(images_of(12, 8, 8, 3), dtype)
    seen = Augmentation(probability=0.0).augment(images, seeds_of)
    assert keras.backend.standardize_dtype(seen.dtype) == dtype
    as_numbers = [ops.convert_to_numpy(ops.cast(x, "float32")) for x in (seen, images)]
    np.testing.assert_array_equal(*as_numbers)
    assert np.abs(augmented(Augmentation(), as_numbers[1]) - as_numbers[1]).max() > 0.1


def test_half_precision_is_that_of_its_numbers():
    images = images_of(12, 8, 8, 3).astype("float16")
    found = augmented(Augmentation(), images)
    expected = augmented(Augmentation(), images.astype("float32"))
    assert found.dtype == "float16"
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)  # rounded once, to 11 bits


def test_the_probability_follows_the_signs_of_real_logits():
    augmentation = Augmentation(target=0.6, adapt_images=100)
    expected = 0.0
    # Mean signs of 1, 0.5, 1, -1 and 0.6: up, down but not below 0, up, up, down, and as it is.
    for logits in ([3, 1e-3], [1, 2, 3, -4], [1] * 40, [7] * 50, [-1] * 10, [2, 2, 2, 2, -2]):
        logits = np.array(logits, "float32")
        way = np.sign(np.sign(logits).mean() - np.float32(0.6))
        expected = max(0.0, expected + way * len(logits) / 100)
        augmentation.observe(ops.convert_to_tensor(logits[:, None]), images=len(logits))
        assert float(ops.convert_to_numpy(augmentation.probability)) == pytest.approx(expected)
    assert expected == pytest.approx(0.8)
    augmentation.observe(ops.ones((90, 1)), images=90)
    assert 0.999 < float(ops.convert_to_numpy(augmentation.probability)) < 1
    kept = Augmentation(probability=0.25)
    kept.observe(ops.ones((90, 1)), images=90)
    assert kept.probability == 0.25 and not kept.variables


@keras.saving.register_keras_serializable("tests")
class Blank(Augmentation):
    """Hides everything."""

    def augment(self, images, draw):
        return 0.0 * images


@pytest.mark.parametrize(
    ("loss", "joint_batch"), [("relativistic_average_hinge", True), ("wasserstein", False)]
)
def test_the_discriminator_sees_no_image_in_training_but_augmented_ones(loss, joint_batch):
    gan = tiny_gan(
        generator_optimizer=keras.optimizers.SGD(1.0),
        discriminator_optimizer=keras.optimizers.SGD(1e-30),
        loss=loss,
        regularizers=[R1Penalty(100.0, every=1)],
        augmentation=Blank(),
        joint_batch=joint_batch,
        ema=None,
    )
    images, labels = images_of(8, 8, 8, 3), np.arange(8) % 3
    before = weights_of(gan.generator)
    logs = gan.fit(images, labels, batch_size=8, verbose=0).history
    # The same for all, but for the labels, which are those of the batch.
    assert logs["real_logits"] == logs["fake_logits"]
    # What stays is what the losses give for equal logits, and 10 (0 - 1)^2 of the gradient penalty.
    expected = 10.0 if loss == "wasserstein" else 2.0
    assert logs["discriminator_loss"][0] == pytest.approx(expected, abs=1e-4)
    for old, new in zip(before, weights_of(gan.generator), strict=True):
        np.testing.assert_array_equal(old, new)
    evaluated = gan.evaluate(images, labels, verbose=0, return_dict=True)
    assert abs(evaluated["real_logits"] - evaluated["fake_logits"]) > 1e-3


def test_all_that_is_seen_in_a_step_has_draws_of_its_own():
    gan = tiny_gan(
        loss="relativistic_average_hinge",
        regularizers=[keras_sagan.regularizers.GradientPenalty()],
        augmentation=Augmentation(["cutout"]),
        discriminator_steps=2,
    )
    names, draw = [], gan._draw
    gan._draw = lambda name, batch: names.append(name) or draw(name, batch)
    gan.fit(images_of(8, 8, 8, 3), np.zeros(8, int), batch_size=8, verbose=0)
    streams = {name for name in names if name.endswith("cutout")}
    places = {f"{d}/{of}" for d in ("discriminator0", "discriminator1") for of in ("real", "fake")}
    places |= {f"discriminator{i}/GradientPenalty/call0" for i in range(2)}
    places |= {"generator/real", "generator/fake"}
    assert streams == {f"{place}/augmentation/cutout" for place in places}
    found = {
        tuple(np.asarray(draws.seeds(0, step, name, 8))) for name in streams for step in (0, 1)
    }
    assert len(found) == 2 * len(streams)


def state(gan):
    optimizers = (gan.generator_optimizer, gan.discriminator_optimizer)
    variables = [*gan.variables, *(v for each in optimizers for v in each.variables)]
    return [ops.convert_to_numpy(variable) for variable in variables]


@pytest.mark.slow
def test_a_loaded_gan_goes_on_with_its_probability(tmp_path):
    gan = tiny_gan(
        augmentation=Augmentation(target=-0.99, adapt_images=64),
        regularizers=[R1Penalty(every=2), LeCam()],
    )
    images, labels = images_of(48, 8, 8, 3), np.arange(48) % 3

    def train(gan, first, steps):
        rows = slice(8 * first, 8 * (first + steps))
        return gan.fit(images[rows], labels[rows], batch_size=8, shuffle=False, verbose=0).history

    logs = train(gan, 0, 3)
    assert logs["augmentation_probability"] == [pytest.approx(3 * 8 / 64)]
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert loaded.augmentation.policies == POLICIES and loaded.augmentation.target == -0.99
    assert float(ops.convert_to_numpy(loaded.augmentation.probability)) == 3 * 8 / 64
    for each in (gan, loaded):
        assert train(each, 3, 3)["augmentation_probability"] == [pytest.approx(6 * 8 / 64)]
    assert len(state(gan)) == len(state(loaded)) > 20
    for expected, found in zip(state(gan), state(loaded), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_train_as_one(backend):
    if BACKEND != "tensorflow":
        pytest.skip("it starts programs of each backend")
    flags = f"{JAX['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    env = {**JAX, "XLA_FLAGS": flags} if backend == "jax" else {}
    env["PYTHONPATH"] = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "tests")))
    process = run(REPOSITORY / "tests/adversarial/augmented_fit.py", env=env)
    assert process.returncode == 0, process.stderr
    one, two = json.loads(process.stdout.splitlines()[-1])
    assert len(one["probabilities"]) == 4 and max(one["probabilities"]) > 0.1
    assert two["probabilities"] == pytest.approx(one["probabilities"], abs=1e-6)
    for name in ("history", "averages", "weights"):
        # Sums over a batch in another order.
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_networks_of_all_precisions_train_with_all_of_it(policy):
    keras.config.set_dtype_policy(policy)
    gan = make_gan(
        augmentation=Augmentation(target=0.6), regularizers=[R1Penalty(0.1, every=2), LeCam()]
    )
    history = gan.fit(dataset(), steps_per_epoch=3, verbose=0).history
    assert np.isfinite([values[0] for values in history.values()]).all()
    assert all(np.isfinite(np.asarray(w, "float32")).all() for w in weights_of(gan.generator))


@pytest.mark.slow
def test_a_resumed_run_is_the_same_to_the_bit(tmp_path):
    if BACKEND != "tensorflow":
        pytest.skip("programs of other backends have tests of their own")
    settings = ("augmentation.target=-0.99", "augmentation.adapt_images=100", "loss.r1=1")
    settings = (*settings, "loss.r1_every=2", "loss.lecam=0.3", "train.deterministic=true")
    for name, steps in (("whole", [6]), ("parts", [3, 6])):
        for i, last in enumerate(steps):
            arguments = train_arguments(tmp_path / name, *settings, f"train.steps={last}")
            if i:
                arguments = ["train.py", "--run-dir", tmp_path / name, "--resume"]
                arguments += ["--set", f"train.steps={last}"]
            process = run(*arguments)
            assert process.returncode == 0, process.stderr
    whole, parts = (weights(tmp_path / name, 6) for name in ("whole", "parts"))
    assert whole.keys() == parts.keys() and any("augmentation" in name for name in whole)
    for name, values in whole.items():
        np.testing.assert_array_equal(parts[name], values, err_msg=name)
    probabilities = [float(row["augmentation_probability"]) for row in rows(tmp_path / "whole")]
    assert probabilities == pytest.approx([0.16, 0.32, 0.48])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"policies": ["colour"]},
            "unknown policy 'colour' .did you mean color..: use some of",
        ),
        ({"probability": 1.5}, "probability must be from 0 to 1, got 1.5"),
        ({"target": 1}, "target must be between -1 and 1, or None; got 1"),
        ({"adapt_images": 0}, "adapt_images must be above 0, got 0"),
    ],
)
def test_what_cannot_be_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**options)


def test_another_augmentation_is_named():
    with pytest.raises(ValueError, match="augmentation must be a .*Augmentation or None; got 'c"):
        tiny_gan(augmentation="color")
