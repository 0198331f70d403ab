import pytest
from programs import run


@pytest.mark.parametrize("backend", ["jax"])
def test_layers_and_models_on_another_backend(backend):
    """The tests of layers and models, and of losses and latents, run there as they are."""
    tests = ["tests/layers", "tests/models", "tests/test_losses.py", "tests/test_latents.py"]
    process = run("-m", "pytest", "-q", *tests, env={"KERAS_BACKEND": backend})
    assert process.returncode == 0, process.stdout
    assert "passed" in process.stdout and "skipped" not in process.stdout
