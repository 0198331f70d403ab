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
from pathlib import Path

PACKAGES = ("keras", "tensorflow", "jax", "torch", "torchvision", "numpy", "pillow")


def take_turns(prepare):
    """Serves turns over standard input and output until the input ends.

    Args:
        prepare: Function of the settings (a dictionary, the first argument of the process) that
            returns a dictionary: "task", a function without arguments that returns when its work
            is done; "parts", the number of equal parts of the task, 1 unless given: the seconds
            told are those of one; "device_peak", a function that returns the peak of a GPU's
            memory in bytes, or None; and what else there is to tell of the task, in JSON's types.
    """
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    settings = json.loads(sys.argv[1])
    about = prepare(settings)
    task, parts = about.pop("task"), about.pop("parts", 1)
    device_peak = about.pop("device_peak", None)
    for _ in range(settings["warmup"]):
        task()
    answers.write(json.dumps({**about, "versions": _versions()}) + "\n")
    for line in sys.stdin:
        repeats = int(line)
        start = time.perf_counter()
        for _ in range(repeats):
            task()
        seconds = (time.perf_counter() - start) / (repeats * parts)
        peak = device_peak() if device_peak else _resident_peak()
        answers.write(json.dumps({"seconds": seconds, "peak_bytes": peak}) + "\n")


def _resident_peak():
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage includes what the parent held
        peak = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return 1024 * int(peak.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes


def _versions():
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed
