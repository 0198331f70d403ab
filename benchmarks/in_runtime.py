"""A TF Lite file in one runtime, as a contestant (see `take_turns.py`).

A script for Python 3.8 and newer, with NumPy and one of ai-edge-litert, tflite-runtime and
tensorflow. Before its turns it calls every signature with all rows of the inputs that it is given,
and writes what comes out.
"""

import numpy as np
from take_turns import take_turns


def runtime():
    """Returns the module `interpreter` of the runtime that is installed."""
    try:
        from ai_edge_litert import interpreter
    except ModuleNotFoundError:
        try:
            from tflite_runtime import interpreter
        except ModuleNotFoundError:
            from tensorflow.lite.python import interpreter
    return interpreter


def prepare(settings):
    """Returns the task: the first signature of the inputs, for each of its rows.

    Settings: "model", a file; "inputs", an .npz file with the arrays "SIGNATURE/NAME", a row a
    picture, in whole batches; "batch", the pictures of one; "outputs", the .npz file to write, with
    names alike; "xnnpack", whether to compute with XNNPACK; "threads".
    """
    lite = runtime()
    options = {"num_threads": settings["threads"]}
    if not settings["xnnpack"]:
        resolvers = lite.OpResolverType
        options["experimental_op_resolver_type"] = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    inputs = {}
    for key, rows in np.load(settings["inputs"]).items():
        signature, name = key.split("/")
        inputs.setdefault(signature, {})[name] = rows
    doing, tasks, outputs = "loading", {}, {}
    try:
        interpreter = lite.Interpreter(settings["model"], **options)
        interpreter.allocate_tensors()  # tflite-runtime gives signatures no XNNPACK without it
        for signature, arrays in inputs.items():
            doing = signature
            runner = interpreter.get_signature_runner(signature)
            tasks[signature] = in_batches(runner, arrays, settings["batch"])
            for name, rows in tasks[signature]().items():
                outputs[f"{signature}/{name}"] = rows
    except (RuntimeError, ValueError) as error:
        # In one line, which is what the table has room for.
        raise RuntimeError(f"{doing}: {' '.join(str(error).split())}") from None
    np.savez(settings["outputs"], **outputs)
    first, arrays = next(iter(inputs.items()))
    return {"task": tasks[first], "parts": len(next(iter(arrays.values())))}


def in_batches(runner, arrays, batch):
    """Returns a function that calls a signature for all rows, and returns its outputs."""
    count = len(next(iter(arrays.values())))
    requests = [
        {name: rows[start : start + batch] for name, rows in arrays.items()}
        for start in range(0, count, batch)
    ]

    def task():
        results = [runner(**request) for request in requests]
        return {name: np.concatenate([x[name] for x in results]) for name in results[0]}

    return task


if __name__ == "__main__":
    take_turns(prepare)
