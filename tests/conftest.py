import fcntl
import gc
import json
import os
import signal
import subprocess

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # errors alone, which tests of what is said must see

import keras
import numpy as np
import pytest
from disks import mounted
from PIL import Image
from programs import run, train_arguments

# Shells start what is in the background with Ctrl-C ignored, and programs inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

if keras.config.backend() == "torch":
    import torch

    # NumPy takes no tensor that waits for a gradient: tests that want one say so.
    torch.set_grad_enabled(False)

# Tracing leaves very many objects, all of which are looked at each time: a tenth of the time.
gc.set_threshold(100_000, 20, 100)
gc.freeze()


@pytest.fixture(autouse=True)
def fixed_seed_and_policy():
    """Every test starts from the same seed, in float32."""
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def small_disk(tmp_path):
    with mounted(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def cats_and_dogs(tmp_path):
    """A folder of two classes of six pictures each."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    return tmp_path / "pictures"


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """A finished run of six steps, and its process. Tests leave the run as it is.

    The first process of pytest that needs it makes it, for all of them.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, result = shared / "trained" / "run", shared / "trained.json"
    with (shared / "trained.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            process = run(*train_arguments(folder))
            result.write_text(json.dumps({**vars(process), "args": [*map(str, process.args)]}))
    process = subprocess.CompletedProcess(**json.loads(result.read_text()))
    assert process.returncode == 0, process.stderr
    return folder, process
