"""Weights of the real `tfa.layers.SpectralNormalization`, imported: make test-addons."""

import os
import subprocess

import numpy as np
import pytest
from programs import REPOSITORY

from keras_sagan.importing import systems
from keras_sagan.models import with_attention_maps

PYTHON = REPOSITORY / ".venv-addons/bin/python"
pytestmark = [
    pytest.mark.addons,
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON.exists(), reason="no .venv-addons; make test-addons makes it (Python 3.11)"
    ),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of weights that Keras 2 trained a few steps, and of what they compute."""
    folder = tmp_path_factory.mktemp("addons")
    subprocess.run(
        [PYTHON, REPOSITORY / "tests/addons/keras2.py", "train", folder],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "tests/importing")},
        check=True,
    )
    return folder


# Rounding alone: the same kernels, divided by their sigma and multiplied by it.
@pytest.mark.parametrize("shape", ["dcgan32", "dcgan64", "resnet32"])
@pytest.mark.parametrize("form", ["h5", "checkpoint", "checkpoint of both"])
def test_outputs_are_those_of_the_wrapper(trained, shape, form):
    suffix = ".h5" if form == "h5" else ""
    paths = [trained / f"{shape}_{role}{suffix}" for role in ("generator", "discriminator")]
    given = [trained / shape] if form == "checkpoint of both" else paths
    networks = systems.module("tfa").load(systems.Given(*given))
    for model, path, tolerance in (
        (networks.generator, paths[0], 1e-4),
        (networks.discriminator, paths[1], 1e-3),
    ):
        recorded = dict(np.load(path.with_suffix(".npz")))
        (name,) = model.input
        found = with_attention_maps(model)({name: recorded.pop("inputs")})
        assert np.abs(recorded["outputs"]).max() > 0.1
        np.testing.assert_allclose(found.pop("output"), recorded.pop("outputs"), atol=tolerance)
        for attention, expected in zip(found.values(), recorded.values(), strict=True):
            np.testing.assert_allclose(attention, expected, atol=1e-4)
    for state in networks.states:
        state.not_used()  # raises where tensors are left


def test_kernels_had_moved(trained):
    """Otherwise the factors are all 1, and the tests above show nothing."""
    model = systems.module("tfa").load(systems.Given(trained / "dcgan32_generator.h5")).generator
    factors = [float(layer.factor) for layer in model.layers if hasattr(layer, "factor")]
    assert len(factors) == 3
    assert min(abs(factor - 1) for factor in factors) > 0.01
