"""A contestant's side of a contest: does its task when told to, and tells how long it took.

The standard library alone, so that a contestant may run in any environment.
"""

import json
import os
import platform
import resource
import sys
import time
from importlib import metadata

PACKAGES = ("keras", "tensorflow", "jax", "torch", "torchvision", "numpy", "pillow")


def take_turns(prepare):
    """Serves turns over standard input and output until the input ends.

    Args:
        prepare: Function of the settings (a dictionary, the first argument of the process) that
            returns a dictionary: "task", a function without arguments that returns when its work
            is done; "device_peak", a function that returns the peak of a GPU's memory in bytes,
            or None; and what else there is to tell of the task, in JSON's types.
    """
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    settings = json.loads(sys.argv[1])
    about = prepare(settings)
    task, device_peak = about.pop("task"), about.pop("device_peak", None)
    for _ in range(settings["warmup"]):
        task()
    answers.write(json.dumps({**about, "versions": _versions()}) + "\n")
    for line in sys.stdin:
        repeats = int(line)
        start = time.perf_counter()
        for _ in range(repeats):
            task()
        seconds = (time.perf_counter() - start) / repeats
        peak = device_peak() if device_peak else _resident_peak()
        answers.write(json.dumps({"seconds": seconds, "peak_bytes": peak}) + "\n")


def _resident_peak():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _versions():
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed
