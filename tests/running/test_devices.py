import json

import numpy as np
import pytest
from PIL import Image
from programs import JAX, REPOSITORY, run, train_arguments
from run_files import rows

from keras_sagan.running.run_folder import Run


def fits(backend, family, loss, images=40):
    """A training on one device, and one on two."""
    flags = f"{JAX['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    env = {**JAX, "XLA_FLAGS": flags} if backend == "jax" else {}
    program = REPOSITORY / "tests/running/distributed_fit.py"
    process = run(program, family, loss, images, env=env)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "family", "loss"),
    [
        ("tensorflow", "dcgan", "hinge"),
        ("tensorflow", "resnet", "hinge"),
        ("tensorflow", "resnet", "wasserstein"),
        # Of the whole batch there.
        ("jax", "dcgan", "relativistic_average_hinge"),
    ],
)
def test_two_devices_train_as_one(backend, family, loss):
    one, two = fits(backend, family, loss)
    assert two["images_seen"] == one["images_seen"] == 40
    for name, values in one["history"].items():
        # Sums over a batch in another order, grown by five steps.
        np.testing.assert_allclose(two["history"][name], values, rtol=2e-3, atol=2e-4, err_msg=name)
    assert one["copies"] == [1] and two["copies"] == [2] and two["vectors"] > 5
    assert two["u_is_equal"]
    np.testing.assert_allclose(two["sample"], one["sample"], atol=0.5)


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(33, marks=pytest.mark.slow),  # in batches of 8: one device gets no last image
        pytest.param(38, marks=pytest.mark.slow),  # of the last 6, four and two
    ],
)
def test_a_batch_that_cannot_be_shared_equally_counts_each_image_once(images):
    one, two = fits("tensorflow", "resnet", "least_squares", images)
    assert two["images_seen"] == one["images_seen"] == images
    for name in ("discriminator_loss", "generator_loss", "real_logits", "fake_logits"):
        # What stands in for a missing image is in the batch statistics of the generator.
        same = 4 if images == 33 and name != "real_logits" else 5
        values, expected = two["history"][name], one["history"][name]
        np.testing.assert_allclose(values[:same], expected[:same], rtol=2e-3, atol=2e-4)
        assert np.isfinite(values).all()


@pytest.mark.slow
def test_two_devices_train_a_run_and_go_on_with_it(tmp_path):
    folder = tmp_path / "run"
    arguments = [*train_arguments(folder, "samples.every=3"), "--strategy", "mirrored"]
    two_devices = REPOSITORY / "tests/two_devices.py"
    for more in ([], ["--resume", "--set", "train.steps=8"]):
        process = run(two_devices, *arguments, *more)
        assert process.returncode == 0 and process.stderr == "", process.stderr
        assert "devices: " in process.stdout
    assert "at step 6" in process.stdout
    assert Run(folder).checkpoint_steps() == [3, 6, 8]
    assert [row["step"] for row in rows(folder)] == ["2", "4", "6", "8"]
    assert sorted(path.name for path in (folder / "samples").iterdir()) == [
        f"{step:08d}.png" for step in (3, 6, 8)
    ]
    assert len(list((folder / "attention").iterdir())) == 3
    # Drawn on one device by another program, the sheet is the same.
    sheet = tmp_path / "sheet.png"
    process = run("-m", "keras_sagan.cli", "sample", folder, "--count", "1", "--out", sheet)
    assert process.returncode == 0, process.stderr
    with Image.open(sheet) as alone, Image.open(folder / "samples/00000008.png") as of_training:
        corner = np.asarray(of_training)[:64, :64].astype(int)
        assert np.abs(np.asarray(alone).astype(int) - corner).max() <= 1
