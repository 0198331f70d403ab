import pytest


@pytest.fixture(autouse=True)
def implementation():
    """Tests of the kernels name the implementations that they test: once is enough."""
    return "auto"
