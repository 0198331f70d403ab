"""Old and new runtimes on the files of an export: python -m benchmarks.runtimes EXPORT ...

Every .tflite file in every runtime, with XNNPACK and without, in 1, 2 and 4 threads. pip installs
each runtime into an environment of its own, once. All signatures are called for 32 seeds, and the
pictures compared with those that the last runtime named draws with the same file, XNNPACK and one
thread: the share of equal values, the largest difference in grey levels, and dB; "to float32" are
dB to what it draws with the float32 file. ms are those of a picture, medians of turns.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import contest
from keras_sagan.sampling import latents

SCRIPT = Path(__file__).with_name("in_runtime.py")
RUNTIMES = (
    "tflite-runtime==2.14.0",
    "tensorflow==2.21.0",
    "ai-edge-litert==1.2.0",
    "ai-edge-litert==1.4.0",
    "ai-edge-litert==2.0.3",
    "ai-edge-litert==2.3.0",
)
# What a runtime needs and does not say.
_NEEDS = {"tflite-runtime": ["numpy<2"]}
_THREADS = (1, 2, 4)
_PICTURES = 32
_FLOAT32 = "generator_float32"
COLUMNS = {
    "equal %": lambda row: f"{100 * row['equal']:.3f}" if "equal" in row else "",
    "levels": lambda row: str(row["levels"]) if "equal" in row else "",
    "dB": lambda row: f"{row['db']:.1f}" if row.get("db") else "",
    "to float32": lambda row: f"{row['db_to_float32']:.1f}" if row.get("db_to_float32") else "",
    "ms": lambda row: f"{1e3 * row['seconds']:.2f}",
}


def main():
    """Runs the benchmark."""
    parser = contest.Parser("runtimes", __doc__, peers=())
    parser.add_argument("export", type=Path, metavar="EXPORT", help="the folder of an export")
    parser.add_argument(
        "--environments",
        type=Path,
        metavar="FOLDER",
        required=True,
        help="where the environments are, or will be: 3 GB unless you name other runtimes",
    )
    parser.add_argument(
        "--runtimes",
        nargs="+",
        metavar="PACKAGE==VERSION",
        default=RUNTIMES,
        help=f"unless given {', '.join(RUNTIMES)}",
    )
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="PATH",
        help="the Python of new environments, this one unless given; for tflite-runtime 2.14 it "
        "must be 3.11 or older",
    )
    parser.add_argument(
        "--pictures-alone", action="store_true", help="without times, for which it must be quiet"
    )
    options = parser.parse_args()
    files = sorted(options.export.glob("*.tflite"))
    if not files:
        parser.error(f"{options.export}: holds no .tflite file; name the folder of an export")
    pythons = {
        name: environment(options.environments / name, name, options.python)
        for name in options.runtimes
    }
    rounds, columns = options.rounds, COLUMNS
    if options.pictures_alone:
        rounds, columns = 1, {name: text for name, text in COLUMNS.items() if name != "ms"}
    return contest.report(parser, options, compare(files, pythons, rounds), columns)


def environment(folder, runtime, python):
    """Installs a runtime into the environment in a folder; returns the environment's Python.

    Where that fails it says why, and the runtime's rows will be errors.
    """
    print(f"installing {runtime} ...", file=sys.stderr, flush=True)
    own = folder.absolute() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    more = _NEEDS.get(runtime.partition("==")[0], [])
    try:
        if not own.exists():
            subprocess.run([python, "-m", "venv", folder], check=True)
        subprocess.run([own, "-m", "pip", "install", "--quiet", runtime, *more], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{runtime}: {error}", file=sys.stderr, flush=True)
    return str(own)


def compare(files, pythons, rounds):
    """Lets runtimes draw with files.

    Args:
        files: Paths of the .tflite files of an export.
        pythons: The Python of each runtime, by its name; the last is what others are compared with.
        rounds: Turns of each.

    Returns:
        A row for each file, number of threads, runtime and XNNPACK or not, as of `contest.contest`.
    """
    rows, pictures = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            told = {"model": str(file), "inputs": f"{folder}/inputs.npz", "warmup": 1}
            told["batch"] = write_inputs(file, told["inputs"])
            for threads in _THREADS:
                entrants = []
                for runtime, python in pythons.items():
                    for xnnpack in (True, False):
                        name = title(file.stem, runtime, xnnpack, threads)
                        how = {"xnnpack": xnnpack, "threads": threads}
                        how["outputs"] = f"{folder}/outputs{len(entrants)}.npz"
                        entrants.append(contest.Contestant(name, SCRIPT, told | how, python))
                for row in contest.contest(entrants, rounds):
                    rows.append(row)
                    if "error" not in row:
                        pictures[row["name"]] = picture(row["settings"]["outputs"])
    newest = list(pythons)[-1]
    true = pictures.get(title(_FLOAT32, newest))
    for row in rows:
        expected = pictures.get(title(Path(row["settings"]["model"]).stem, newest))
        if "error" not in row and expected is not None:
            own = pictures[row["name"]]
            row["equal"] = float(np.mean(own == expected))
            row["levels"] = int(np.abs(own.astype(int) - expected).max())
            row["db"] = decibels(own, expected)
            row["db_to_float32"] = None if true is None else decibels(own, true)
    return rows


def title(file, runtime, xnnpack=True, threads=1):
    """Returns the name of a row."""
    threads = f"{threads} thread{'s' * (threads > 1)}"
    return f"{file}, {runtime}, {'' if xnnpack else 'no '}XNNPACK, {threads}"


def write_inputs(file, path):
    """Writes inputs for all signatures of a file, `sample` first; returns the pictures a call."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file))
    shapes = {
        f"{signature}/{name}": tensor["shape"].tolist()
        for signature in sorted(interpreter.get_signature_list(), key="sample".__ne__)
        for name, tensor in interpreter.get_signature_runner(signature).get_input_details().items()
    }
    batch = next(iter(shapes.values()))[0]
    seeds = np.arange(-(-_PICTURES // batch) * batch, dtype=np.int32)
    values = {"seed": seeds, "truncation": np.ones(len(seeds), np.float32)}
    names = file.with_name("labels.txt")
    if names.exists():
        values["label"] = seeds % np.int32(len(names.read_text(encoding="utf-8").splitlines()))
    for key, (_, *length) in shapes.items():
        if key.endswith("/latent"):
            values["latent"] = latents.numpy_normal(seeds, *length)
    np.savez(path, **{key: values[key.split("/")[1]] for key in shapes})
    return batch


def picture(path):
    """Returns the pictures among the outputs of a file, uint8."""
    outputs = np.load(path)
    if "sample/image" in outputs:
        return outputs["sample/image"]
    from keras_sagan.sampling import to_uint8

    return np.asarray(to_uint8(outputs["generate/image"]))


def decibels(images, expected):
    """Returns the peak signal-to-noise ratio of uint8 pictures, None where they are the same."""
    from keras_sagan.exporting.quantize import psnr

    if np.array_equal(images, expected):
        return None
    return psnr(*(values / 127.5 - 1 for values in (images, expected)))


if __name__ == "__main__":
    sys.exit(main())
