"""Starts Keras and its backend for a program: fast on CPUs, fair on GPUs, and without noise."""

import contextlib
import json
import os
import platform
import re
import sys
import time
from pathlib import Path

# What C++ writes before it knows of TF_CPP_MIN_LOG_LEVEL: information, which the level would hide;
# plug-ins that register twice; and that a machine without a GPU has none.
_SAYS_NOTHING = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\) is called"
    rb"|I\d{4} [^\]]*\.cc:\d+\] "
    rb"|To enable the following instructions: "
    rb"|[WE]\d{4} .*\] Unable to register cu\w+ factory: .* has already been registered"
    rb"|[WE]\d{4} .*\] computation placer already registered"
    rb"|E\d{4} .*\] failed call to cuInit: .*(UNKNOWN ERROR \(303\)|CUDA_ERROR_NO_DEVICE)"
    rb"|INFO: Created TensorFlow Lite XNNPACK delegate for CPU"
)


def start_backend():
    """Imports Keras and its backend, which takes seconds.

    TensorFlow gets oneDNN on every x86 processor, not on newer ones alone, unless
    TF_ENABLE_ONEDNN_OPTS says otherwise; and of the memory of GPUs only what it needs.
    """
    if "tensorflow" not in sys.modules and platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with startup_lines_dropped():
        of_jax = ("jax", "scipy") if _backend() in (None, "tensorflow") else ()
        with _hidden("matplotlib", *of_jax):
            import keras

            # Keras imports it on JAX too, where it is installed: at the first seed or saved model.
            with contextlib.suppress(ImportError):
                import tensorflow as tf

                if keras.config.backend() == "tensorflow":
                    # This looks for GPUs, and says if there are none.
                    for gpu in tf.config.list_physical_devices("GPU"):
                        tf.config.experimental.set_memory_growth(gpu, True)


def _backend():
    """The backend that Keras will take, or None if nobody chose; it tells only once it started."""
    if "KERAS_BACKEND" in os.environ:
        return os.environ["KERAS_BACKEND"]
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        return json.loads((home / "keras.json").read_text("utf-8")).get("backend")
    except (OSError, ValueError):  # as Keras does
        return None


@contextlib.contextmanager
def _hidden(*packages):
    """Makes packages seem not to be installed, while others are imported that can do without.

    TensorFlow and Keras look for these to draw figures, for their old layers and to convert
    models of JAX, none of which a program here does: a quarter of their start.
    """
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def startup_lines_dropped():
    """Drops lines that say nothing from standard error; all others pass.

    A process of its own passes them on, so that they arrive even if this one crashes. Whoever sets
    TF_CPP_MIN_LOG_LEVEL to 0 or 1 gets all lines.
    """
    wanted = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2") in ("0", "1")
    # Not on Windows; nor if TensorFlow has started, with threads that a fork would lose.
    possible = hasattr(os, "fork") and "tensorflow" not in sys.modules and sys.stderr is not None
    if wanted or not possible:
        yield
        return
    sys.stderr.flush()
    errors, (reading, writing) = os.dup(2), os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()  # what stops the program must not stop its last words, as Ctrl-C would
        os.close(writing)
        _pass_on(reading, errors)
    os.dup2(writing, 2)
    os.close(reading)
    os.close(writing)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(errors, 2)
        os.close(errors)
        _wait(child)


def _pass_on(reading, errors):
    """The work of the other process, which ends with it."""
    try:
        with open(reading, "rb") as lines, open(errors, "wb", buffering=0) as out:  # noqa: PTH123
            for line in lines:
                if not _SAYS_NOTHING.match(line):
                    out.write(line)
    finally:
        os._exit(0)


def _wait(child, seconds=1.0):
    """Waits until all has been passed on; not for ever, should a third process hold the pipe."""
    deadline = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.001)
