"""Pictures that are judged: of a run, of a `.tflite` file, or of a folder."""

import hashlib
from pathlib import Path

import numpy as np

from keras_sagan.data import ImageFolder
from keras_sagan.errors import InputError
from keras_sagan.metrics.evaluation import Pictures, pictures_of
from keras_sagan.running.checkpoints import GENERATOR

_BATCH = 64


def of_run(run, samples, seed=0, truncation=1.0, best=False):
    """Returns the `Pictures` of a run's averaged generator, and their size.

    Args:
        run: A `Run`.
        samples: How many pictures.
        seed: The seed of the first.
        truncation: Factor of the latents.
        best: Whether the generator is that of the best checkpoint; else it is that of the last.
    """
    from keras_sagan.sampling import Sampler

    folder = run.generator_checkpoint(best)
    generator = run.load_generator(folder)
    sampler = Sampler(generator)
    pictures = pictures_of(sampler.batches, generator.num_classes, samples, seed, truncation)
    pictures.protocol |= {
        "run": str(run.path),
        "checkpoint": folder.name,
        "generator_sha256": _checksum(folder / GENERATOR),
        "ema": run.config().train.ema,
    }
    return pictures, generator.image_size


def of_tflite(path, samples, seed=0, truncation=1.0):
    """Returns the `Pictures` of an exported `.tflite` file, and their size."""
    from keras_sagan.exporting.sample import Model

    model = Model(str(path))

    def draw(seeds, labels, truncation):
        for start in range(0, samples, _BATCH):
            part = slice(start, start + _BATCH)
            some = seeds[part].astype(np.int32)
            scale = np.full(len(some), truncation, np.float32)
            of_batch = None if labels is None else labels[part]
            yield model.run("sample", of_batch, seed=some, truncation=scale)["image"]

    classes = None if model.classes is None else len(model.classes)
    pictures = pictures_of(draw, classes, samples, seed, truncation, _BATCH)
    pictures.protocol |= {"file": Path(path).name, "sha256": _checksum(path)}
    return pictures, model.height


def of_folder(path, samples, image_size):
    """Returns the `Pictures` of a folder, all or some of them; sub-folders are classes."""
    source = ImageFolder(path, image_size)
    count = min(samples, len(source))
    if count < 2:
        raise InputError(f"{path} holds one picture: figures need at least two")
    classes = None if source.class_names is None else len(source.class_names)
    # Spread evenly, so that fewer than all are of all classes.
    indices = np.linspace(0, len(source) - 1, count).round().astype(int)

    def batches():
        for start in range(0, count, _BATCH):
            yield source.read(indices[start : start + _BATCH])

    protocol = {"folder": str(Path(path).resolve()), "samples": count, "resize": "middle square"}
    fewest = classes and int(np.bincount(source.labels[indices], minlength=classes).min())
    return Pictures(count, classes, batches, protocol, fewest)


def _checksum(path):
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
