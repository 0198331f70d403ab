"""The machine: what it is, and how fast it multiplies matrices: python -m benchmarks.machine."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

SIZES = (1024, 2048, 4096, 8192)
_LONG = 0.5  # seconds; a product that takes longer has no use for a larger one
_TURNS = 7


def describe():
    """Returns processor, cores that may be used, memory and GPUs."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    affinity = getattr(os, "sched_getaffinity", None)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "system": platform.platform(),
        "processor": names[0] if names else platform.processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_gb": round(pages / 1e9, 1),
        "gpus": _gpus(),
    }


def _gpus():
    if shutil.which("nvidia-smi") is None:
        return []
    process = subprocess.run(
        ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True
    )
    return process.stdout.split("\n")[:-1] if process.returncode == 0 else []


def measured_matmuls(precision):
    """Returns the FLOP/s of square matrix products by size, medians; on Keras's backend."""
    results = {}
    for size in SIZES:
        task, flops = matmuls(size, precision)
        seconds = statistics.median(_seconds(task) for _ in range(_TURNS))
        results[size] = flops / seconds
        if seconds > _LONG:
            break
    return results


def matmuls(size, precision):
    """Returns a task of one square product, or as many as fill 0.1 s, and its FLOPs."""
    import keras
    import numpy as np
    from keras import ops

    keras.utils.set_random_seed(0)
    scale = size**-0.5  # products of products keep their size
    left, right = (ops.cast(np.random.normal(0, scale, (size, size)), precision) for _ in range(2))

    def multiply(products):
        result = left
        for _ in range(products):
            result = ops.matmul(result, right)
        ops.convert_to_numpy(ops.cast(result[0, 0], "float32"))  # waits for all of them

    # On fast devices one product would measure how long it takes to ask for it.
    multiply(1)
    products = max(1, min(1000, round(0.1 / _seconds(lambda: multiply(1)))))
    return lambda: multiply(products), 2 * size**3 * products


def _seconds(task):
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def main():
    """Prints the FLOP/s of each precision named, as JSON."""
    precisions = sys.argv[1:] or ["float32", "bfloat16"]
    unknown = set(precisions) - {"float32", "bfloat16", "float16"}
    if unknown:
        print(f"error: {unknown.pop()} is not float32, bfloat16 or float16", file=sys.stderr)
        return 2
    print(json.dumps({precision: measured_matmuls(precision) for precision in precisions}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
