"""Keeps from the terminal what TensorFlow and LiteRT say when they start."""

import contextlib
import os
import re
import signal
import sys
import time

# Of a machine without a GPU or its drivers, of plug-ins that register twice, of features of the
# CPU. They are written in C++, before a program can set a level.
_SAYS_NOTHING = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|^[IWE]\d{4} .*(cudart_stub|cuda_platform|cuda_executor|cuda_diagnostics|cuda_fft"
    rb"|cuda_dnn|cuda_blas|computation_placer|gpu_device|cpu_feature_guard|port|util)\.cc:"
    rb"|^To enable the following instructions"
    rb"|^INFO: Created TensorFlow Lite XNNPACK delegate for CPU"
)


def start_backend():
    """Imports Keras and its backend, which takes seconds."""
    with startup_lines_dropped():
        import keras

        if keras.config.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.list_physical_devices()  # looks for GPUs, and says so if there are none


@contextlib.contextmanager
def startup_lines_dropped():
    """Drops lines that say nothing from standard error; all others pass.

    A process of its own passes them on, so that they arrive even if this one crashes.
    """
    # Not on Windows; nor if TensorFlow has started, with threads that a fork would lose.
    if not hasattr(os, "fork") or "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    errors, (reading, writing) = os.dup(2), os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C comes to both
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
                if not _SAYS_NOTHING.search(line):
                    out.write(line)
    finally:
        os._exit(0)


def _wait(child, seconds=1.0):
    """Waits until all has been passed on; not for ever, should a third process hold the pipe."""
    deadline = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.001)
