"""Runs a TF Lite file as a device would, in a process that has nothing but LiteRT and NumPy.

A script, so that neither its time nor its memory includes any of this package:

    python run_tflite.py MODEL.tflite INPUTS.npz IMAGES.npy THREADS

INPUTS.npz has an array for each input of the signature `generate`, a row a picture, in whole
batches. Prints a line of JSON: `ms`, the median time of a picture, and `peak_mb`, the most memory
that the process held, or null where the system does not tell (Windows).
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

_WARM_UP = 2  # calls, before the clock counts


def _peak_mb():
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage includes what the parent held
        peak = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(peak.split()[1]) / 1e3
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS: bytes


def _main(model, inputs, images, threads):
    inputs = dict(np.load(inputs))
    generate = Interpreter(model, num_threads=int(threads)).get_signature_runner("generate")
    batch_size = int(generate.get_output_details()["image"]["shape"][0])
    count = len(inputs["latent"])
    batches = [
        {name: values[start : start + batch_size] for name, values in inputs.items()}
        for start in range(0, count, batch_size)
    ]
    for _ in range(_WARM_UP):
        generate(**batches[0])
    seconds, results = [], []
    for batch in batches:
        start = time.perf_counter()
        results.append(generate(**batch)["image"])
        seconds.append(time.perf_counter() - start)
    peak_mb = _peak_mb()
    np.save(images, np.concatenate(results))
    print(json.dumps({"ms": 1e3 * float(np.median(seconds)) / batch_size, "peak_mb": peak_mb}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
