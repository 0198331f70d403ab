import json

import numpy as np
import pytest
from programs import JAX, REPOSITORY, run


def fits(backend, family, loss):
    """A training on one device, and one on two."""
    flags = f"{JAX['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    env = {**JAX, "XLA_FLAGS": flags} if backend == "jax" else {}
    process = run(REPOSITORY / "tests/running/distributed_fit.py", family, loss, env=env)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("backend", "family", "loss"),
    [
        ("tensorflow", "dcgan", "hinge"),
        pytest.param("tensorflow", "resnet", "hinge", marks=pytest.mark.slow),
        pytest.param("tensorflow", "resnet", "wasserstein", marks=pytest.mark.slow),
        # Of the whole batch there.
        pytest.param("jax", "dcgan", "relativistic_average_hinge", marks=pytest.mark.slow),
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
