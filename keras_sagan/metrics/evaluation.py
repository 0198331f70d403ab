"""Figures of pictures, by the protocol that makes them comparable."""

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_sagan import metrics
from keras_sagan.errors import InputError
from keras_sagan.files.whole_files import replacing

# By name: what a metric is made of and fed with, besides features.
METRICS = {
    "fid": "the Frechet distance: FID, with the features of inception",
    "kid": "the kernel distance: KID, likewise",
    "inception_score": "the Inception Score, with the classes of the extractor",
    "intra_fid": "the mean Frechet distance within a class",
    "precision_recall": "precision and recall",
    "density_coverage": "density and coverage",
    "class_accuracy": "how often a picture is taken for its class",
}
# Pictures that a metric needs; all others need two.
_LEAST = {"inception_score": 20, "precision_recall": 4, "density_coverage": 6}


@dataclass
class Pictures:
    """What is judged.

    Args:
        count: How many pictures there are.
        num_classes: How many classes they have, or None.
        batches: Function that yields (images uint8 (n, size, size, 3), labels (n,) or None).
        protocol: What they are, as a dictionary.
    """

    count: int
    num_classes: int | None
    batches: object
    protocol: dict = field(default_factory=dict)


def pictures_of(draw, num_classes, samples, seed=0, truncation=1.0, batch_size=64):
    """Returns pictures that are drawn from seeds, and whose classes come in turn.

    Args:
        draw: Called as `draw(seeds, labels, truncation)`; yields batches of images.
        num_classes: How many classes there are, or None.
        samples: How many pictures.
        seed: The seed of the first.
        truncation: Factor of the latents.
        batch_size: Images in each of the batches but the last.
    """
    seeds = np.arange(seed, seed + samples)
    labels = None if num_classes is None else (seeds % num_classes).astype(np.int32)

    def batches():
        for i, images in enumerate(draw(seeds, labels, truncation)):
            of_batch = None if labels is None else labels[i * batch_size :][: len(images)]
            yield images, of_batch

    protocol = {"samples": samples, "seeds": [seed, seed + samples - 1], "truncation": truncation}
    return Pictures(samples, num_classes, batches, protocol)


def evaluate(pictures, extractor, reference=None, names=None):
    """Judges pictures.

    Args:
        pictures: `Pictures`.
        extractor: See `keras_sagan.metrics.features`.
        reference: `Reference` of real pictures, or None.
        names: Of `METRICS`; None is all that can be had.

    Returns:
        A dictionary of "metrics", numbers by name, and "protocol".

    Raises:
        InputError: A metric that cannot be had, by its name; or features that are not finite.
    """
    missing = {name: _missing(name, pictures, extractor, reference) for name in METRICS}
    for name in names or ():
        if missing[name]:
            raise InputError(f"--metrics {name} {missing[name]}")
    names = names or [name for name, why in missing.items() if not why]
    judges = {name: _judge(name, pictures, reference) for name in names}
    done, start = 0, time.monotonic()
    for images, labels in pictures.batches():
        features = extractor.extract(images)
        for name, judge in judges.items():
            judge.update(*_taken(name, features, labels))
        done += len(images)
        _show(done, pictures.count, start)
    figures = {}
    for name, judge in judges.items():
        figures.update(_figures(name, judge.result()))
    protocol = {
        "pictures": pictures.protocol,
        "extractor": {
            "name": extractor.name,
            "sha256": extractor.checksum,
            **extractor.protocol,
        },
        "reference": None if reference is None else reference.protocol,
    }
    return {"metrics": figures, "protocol": protocol}


def _missing(name, pictures, extractor, reference):
    """Why a metric cannot be had, or None."""
    least = _LEAST.get(name, 2)
    if name == "intra_fid" and pictures.num_classes:
        least *= pictures.num_classes
    if pictures.count < least:
        return f"needs at least {least} pictures, and there are {pictures.count}"
    if name in ("inception_score", "class_accuracy"):
        if getattr(extractor, "has_logits", True) is False:
            return f"needs an extractor with classes, which {extractor.name} is not"
        if name == "class_accuracy":
            names = getattr(extractor, "class_names", None)
            if names is None or pictures.num_classes != len(names):
                return "needs a classifier of the classes of the pictures: --extractor classifier"
        return None
    if reference is None:
        return "needs real pictures to compare with: give --data DIR or --reference FILE.npz"
    if name == "intra_fid":
        classes = reference.by_class and len(reference.by_class)
        return (
            None
            if classes and classes == pictures.num_classes
            else ("needs the same classes in the pictures and in --data")
        )
    if name != "fid" and reference.features is None:
        return "needs the features of real pictures one by one: give --data DIR"
    return None


def _judge(name, pictures, reference):
    makers = {
        "fid": lambda: metrics.FrechetDistance(reference.statistics),
        "kid": lambda: metrics.KernelDistance(reference.features),
        "inception_score": lambda: metrics.InceptionScore(pictures.count),
        "intra_fid": lambda: metrics.IntraClassDistance(reference.by_class),
        "precision_recall": lambda: metrics.PrecisionRecall(reference.features),
        "density_coverage": lambda: metrics.DensityCoverage(reference.features),
        "class_accuracy": metrics.ClassAccuracy,
    }
    return makers[name]()


def _taken(name, features, labels):
    """What a metric takes of a batch."""
    if name == "inception_score":
        return (features.logits,)
    if name == "class_accuracy":
        return features.logits, labels
    if name == "intra_fid":
        return features.features, labels
    return (features.features,)


def _figures(name, result):
    """The numbers that a metric gives, by name."""
    if name == "kid":
        return {"kid": {"value": result.value, "standard_error": result.standard_error}}
    if name == "inception_score":
        return {"inception_score": {"value": result.value, "deviation": result.deviation}}
    if name == "intra_fid":
        return {"intra_fid": result.value}
    if name in ("precision_recall", "density_coverage"):
        return result._asdict()
    return {name: float(result)}


def write(evaluation, path):
    """Writes an evaluation as JSON, whole or not at all."""
    with replacing(Path(path)) as file:
        file.write_text(json.dumps(evaluation, indent=2) + "\n", encoding="utf-8")


def table(evaluation):
    """Returns the lines of a table of the figures."""
    lines = []
    for name, figure in evaluation["metrics"].items():
        if isinstance(figure, dict):
            value, other = figure["value"], next(k for k in figure if k != "value")
            lines.append(
                f"{name:18} {value:12.5g}   ({other.replace('_', ' ')} {figure[other]:.2g})"
            )
        else:
            lines.append(f"{name:18} {figure:12.5g}")
    return lines


def _show(done, count, start):
    """One line that changes, on a terminal."""
    if sys.stderr.isatty():
        left = (time.monotonic() - start) / done * (count - done)
        end = "\n" if done == count else ""
        print(f"\rpictures: {done} of {count}, {left:.0f} s left ", end=end, file=sys.stderr)
