import json

import numpy as np
import pytest
from programs import REPOSITORY, run


def fit(devices, loss):
    process = run(REPOSITORY / "tests" / "distributed_fit.py", devices, loss)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize("loss", ["hinge", "wasserstein"])
def test_two_devices_train_as_one(loss):
    one, two = fit(1, loss), fit(2, loss)
    assert two["images_seen"] == one["images_seen"] == 40
    for name, values in one["history"].items():
        # Sums over a batch in another order, grown by five steps.
        np.testing.assert_allclose(two["history"][name], values, rtol=2e-3, atol=2e-4, err_msg=name)
    assert one["copies"] == [1] and two["copies"] == [2] and two["vectors"] > 20
    assert two["u_is_equal"]
    np.testing.assert_allclose(two["sample"], one["sample"], atol=0.5)
