"""What the tests of serving share: one export, one pair of servers."""

import socket

import pytest


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    from serving import MODELS, Exported

    return {name: Exported(tmp_path_factory.mktemp(name), MODELS[name]) for name in MODELS}


@pytest.fixture(scope="session")
def servers(exported):
    """URLs of the same models, by protocol."""
    from serving import serve

    with serve(exported) as urls:
        yield urls


@pytest.fixture
def closed_port():
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def out(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"as before")
    return path
