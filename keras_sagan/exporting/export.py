"""Everything that a run is exported to."""

import hashlib
import json
import math
import platform
import shutil
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_sagan
from keras_sagan.errors import InputError
from keras_sagan.exporting import PRECISIONS
from keras_sagan.exporting.metadata import (
    LABELS_FILE,
    add_metadata,
    labels_text,
    oldest_runtime,
)
from keras_sagan.exporting.report import PICTURES, Report
from keras_sagan.exporting.saved_model import write_saved_model
from keras_sagan.exporting.signatures import SIGNATURES
from keras_sagan.exporting.tflite import convert_to_tflite
from keras_sagan.exporting.warmup import write_warmup
from keras_sagan.models import map_shapes
from keras_sagan.running import config as config_module
from keras_sagan.running.checkpoints import GENERATOR, step_of
from keras_sagan.running.devices import processor_name
from keras_sagan.sampling import sheets
from keras_sagan.sampling.sampler import to_uint8

_LEAST_PSNR = 60.0  # dB, of float32: a thousandth of the range of a picture
_MODULES = (keras, tf, np)
_SMALLEST_FIRST = ("dynamic_int8", "int8", "float16", "float32")
_PACKAGES = ("ai-edge-litert", "ai-edge-quantizer")


def export_run(run, precisions=PRECISIONS, batch_size=1, overwrite=False, checkpoint=None):
    """Writes the `export/` of a run.

    saved_model/1/             for TensorFlow Serving, with warm-up requests
    generator_float32.tflite   and so on, for each precision
    generate_only_....tflite   in the smallest of them, for latents of one's own
    sample.py                  draws with the .tflite files, and needs nothing of this package
    labels.txt                 the names of the classes, one a line
    report.json                what each file costs, and how true it is to the Keras model
    int8_worst.png             the picture that int8 does worst: Keras, int8
    manifest.json              config, checksums, versions, inputs and outputs

    Args:
        run: A `keras_sagan.running.run_folder.Run` with a checkpoint.
        precisions: Of the TF Lite files.
        batch_size: Of the TF Lite files.
        overwrite: Whether an export that is there is replaced, once all of the new one is
            written.
        checkpoint: The folder of the checkpoint; None is the last one that is whole.

    Yields:
        Lines that say what is going on.

    Raises:
        InputError: There is an export already, or no checkpoint, or a class name that a line of
            text cannot hold.
        ArithmeticError: The float32 file does not give what the Keras model gives.
    """
    with run.exporting(overwrite) as folder:
        checkpoint = run.generator_checkpoint() if checkpoint is None else checkpoint
        yield from _write(run, checkpoint, folder, precisions, batch_size)
    yield f"written: {run.export}"


def _write(run, checkpoint, folder, precisions, batch_size):
    generator = run.load_generator(checkpoint)
    weights_sha256 = _sha256(checkpoint / GENERATOR)
    labels, about = run.class_names(), _description(generator)
    if labels is not None:
        (folder / LABELS_FILE).write_text(labels_text(labels), "utf-8", newline="\n")
    yield "SavedModel ..."
    write_saved_model(generator, str(folder / "saved_model" / "1"))
    write_warmup(folder / "saved_model" / "1")
    chosen = [name for name in PRECISIONS if name in precisions]
    smallest = next(name for name in _SMALLEST_FIRST if name in chosen)
    files = [(folder / f"generator_{name}.tflite", name, SIGNATURES) for name in chosen]
    files.append((folder / f"generate_only_{smallest}.tflite", smallest, ("generate",)))
    yield f"TF Lite, and {PICTURES} pictures of each file against the Keras model ..."
    report = Report(generator, batch_size)
    yield report.header(path.name for path, *_ in files)
    shutil.copyfile(Path(__file__).with_name("sample.py"), folder / "sample.py")
    rows, maps, told = [], map_shapes(generator), {}
    for path, precision, signatures in files:
        file, left_in_float = convert_to_tflite(generator, precision, batch_size, signatures)
        try:
            named = add_metadata(file, run.name, about, labels, maps)
        except ValueError as error:
            raise InputError(f"{run.classes}: {error}") from error
        path.write_bytes(named)
        row, images = report.measure(path)
        if precision == "float32" and not row["psnr_db"] >= _LEAST_PSNR:  # nor is nan
            raise ArithmeticError(f"{path} keeps only {row['psnr_db']:.1f} dB to the Keras model")
        rows.append(row)
        told[path.name] = {
            "signatures": signatures,
            "oldest_runtime": f"TensorFlow Lite {oldest_runtime(file)}",
            "left_to_the_cpu": row["left_to_the_cpu"],
        }
        yield report.line(row)
        if left_in_float:
            yield f"  left in float, as int8 would cost too much: {', '.join(left_in_float)}"
        if path.name == "generator_int8.tflite":
            seed = row["worst_seed"]
            pair = to_uint8(np.stack([report.expected[seed], images[seed]]))
            sheets.sheet(pair, columns=2).save(folder / "int8_worst.png")
            yield f"  worst on seed {seed}: {row['worst_psnr_db']:.1f} dB, int8_worst.png"
    measured = {"pictures": PICTURES, "batch_size": batch_size, "cores": report.cores}
    _write_json(folder / "report.json", {**measured, "processor": processor_name(), "files": rows})
    _write_json(
        folder / "manifest.json",
        {
            "config": config_module.flat(run.config()),
            "step": step_of(checkpoint),
            "weights_sha256": weights_sha256,
            "versions": {
                "keras-sagan": keras_sagan.__version__,
                "python": platform.python_version(),
                # TensorFlow's package may have other names.
                **{module.__name__: module.__version__ for module in _MODULES},
                **{name: metadata.version(name) for name in _PACKAGES},
            },
            "signatures": _signatures(generator),
            "tflite": told,
            "batch": {"tflite": batch_size, "saved_model": "any"},
            "files": {
                path.relative_to(folder).as_posix(): _sha256(path)
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            },
        },
    )


def _description(generator):
    _, height, width, _ = generator.output.shape
    classes = getattr(generator, "num_classes", None)
    text = f"A keras-sagan generator of {height} x {width} pictures"
    return f"{text} of {classes} classes." if classes else f"{text}."


def _signatures(generator):
    """The inputs and outputs of each signature."""
    latent_dim = generator.input["latent"].shape[1]
    num_classes = getattr(generator, "num_classes", None)
    image = {"shape": ["batch", *generator.output.shape[1:]]}
    picture = {"image": {"dtype": "uint8", **image}}
    label = {"dtype": "int32", "shape": ["batch"], "range": [0, (num_classes or 0) - 1]}
    labels = {"label": label} if num_classes else {}
    by_seed = {
        "seed": {"dtype": "int32", "shape": ["batch"], "range": [0, 2**31 - 1]},
        **labels,
        "truncation": {"dtype": "float32", "shape": ["batch"]},
    }
    latent = {"dtype": "float32", "shape": ["batch", latent_dim], "distribution": "normal"}
    picture_of_latent = {"image": {"dtype": "float32", **image, "range": [-1, 1]}}
    maps = {
        name: {
            "dtype": "float32",
            "shape": ["batch", math.prod(queries), math.prod(keys)],
            "queries": queries,
            "keys": keys,
        }
        for name, (queries, keys) in map_shapes(generator).items()
    }
    return {
        "generate": {"inputs": {"latent": latent, **labels}, "outputs": picture_of_latent},
        "sample": {"inputs": by_seed, "outputs": picture},
        "attend": {"inputs": by_seed, "outputs": {**picture, **maps}},
        "latents": {
            "inputs": {name: by_seed[name] for name in ("seed", "truncation")},
            "outputs": {"latent": latent},
        },
    }


def _sha256(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
