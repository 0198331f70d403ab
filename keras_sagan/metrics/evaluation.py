"""Figures of pictures, by the protocol that makes them comparable."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_sagan import metrics
from keras_sagan.errors import InputError
from keras_sagan.files.whole_files import replacing
from keras_sagan.metrics.progress import Progress


@dataclass(frozen=True)
class Metric:
    """A metric that can be asked for by name.

    Args:
        figures: The names of the numbers that it gives.
        make: Makes the object that takes batches, of `Pictures` and a `Reference`.
        takes: What that takes of a batch: "features", "logits" and "labels", in its order.
        rises: Whether larger is better.
        one_by_one: Whether it needs the features of the reference themselves.
        least: Pictures that it needs.
    """

    figures: tuple
    make: Callable
    takes: tuple = ("features",)
    rises: bool = False
    one_by_one: bool = False
    least: int = 2


METRICS = {
    "fid": Metric(("fid",), lambda _, real: metrics.FrechetDistance(real.statistics)),
    "kid": Metric(("kid",), lambda _, real: metrics.KernelDistance(real.features), one_by_one=True),
    "inception_score": Metric(
        ("inception_score",),
        lambda pictures, _: metrics.InceptionScore(pictures.count),
        takes=("logits",),
        rises=True,
        least=20,
    ),
    "intra_fid": Metric(
        ("intra_fid",),
        lambda _, real: metrics.IntraClassDistance(real.by_class),
        takes=("features", "labels"),
    ),
    "precision_recall": Metric(
        ("precision", "recall"),
        lambda _, real: metrics.PrecisionRecall(real.features),
        rises=True,
        one_by_one=True,
        least=4,
    ),
    "density_coverage": Metric(
        ("density", "coverage"),
        lambda _, real: metrics.DensityCoverage(real.features),
        rises=True,
        one_by_one=True,
        least=6,
    ),
    "class_accuracy": Metric(
        ("class_accuracy",),
        lambda _, __: metrics.ClassAccuracy(),
        takes=("logits", "labels"),
        rises=True,
    ),
}


@dataclass
class Pictures:
    """What is judged.

    Args:
        count: How many pictures there are.
        num_classes: How many classes they have, or None.
        batches: Function that yields (images uint8 (n, size, size, 3), labels (n,) or None).
        protocol: What they are, as a dictionary.
        fewest: How many there are of the smallest class; None is as many as of the others.
    """

    count: int
    num_classes: int | None
    batches: object
    protocol: dict = field(default_factory=dict)
    fewest: int | None = None


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
    names = available(pictures, extractor, reference, names)
    judges = {name: METRICS[name].make(pictures, reference) for name in names}
    done, progress = 0, Progress("pictures", pictures.count)
    for images, labels in pictures.batches():
        batch = {**extractor.extract(images)._asdict(), "labels": labels}
        for name, judge in judges.items():
            judge.update(*(batch[what] for what in METRICS[name].takes))
        done += len(images)
        progress.show(done)
    figures = {}
    for name, judge in judges.items():
        figures.update(_figures(METRICS[name].figures, judge.result()))
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


def available(pictures, extractor, reference, names=None):
    """Returns the names of the metrics that can be had, or those given.

    Args:
        pictures: As for `evaluate`, and so are the others.
        extractor: Likewise.
        reference: Likewise.
        names: Names that must be among them, or None.

    Raises:
        InputError: One of them cannot be had.
    """
    missing = {name: _missing(name, pictures, extractor, reference) for name in METRICS}
    for name in names or ():
        if missing[name]:
            raise InputError(f"metric {name} {missing[name]}")
    return names or [name for name, why in missing.items() if not why]


def _missing(name, pictures, extractor, reference):
    """Why a metric cannot be had, or None."""
    metric = METRICS[name]
    by_class = name == "intra_fid"
    if pictures.count < metric.least:
        return f"needs at least {metric.least} pictures, and there are {pictures.count}"
    if by_class and pictures.num_classes:
        fewest = pictures.fewest
        fewest = pictures.count // pictures.num_classes if fewest is None else fewest
        if fewest < metric.least:
            return f"needs at least {metric.least} pictures of each class, and one has {fewest}"
    if "logits" in metric.takes:
        if getattr(extractor, "has_logits", True) is False:
            return f"needs an extractor with classes, which {extractor.name} is not"
        if "labels" in metric.takes:
            names = getattr(extractor, "class_names", None)
            if names is None or pictures.num_classes != len(names):
                return "needs a classifier of the classes of the pictures: --extractor classifier"
        return None
    if reference is None:
        return "needs real pictures to compare with: give --data DIR or --reference FILE.npz"
    if by_class:
        classes = reference.by_class and len(reference.by_class)
        if not classes or classes != pictures.num_classes:
            return "needs the same classes in the pictures and in --data"
    if metric.one_by_one and reference.features is None:
        return "needs the features of real pictures one by one: give --data DIR"
    return None


def _figures(names, result):
    """The numbers that a metric gives, by their names."""
    if len(names) > 1:
        return dict(zip(names, result, strict=True))
    (name,) = names
    value = float(getattr(result, "value", result))
    for error in ("standard_error", "deviation"):
        if hasattr(result, error):
            return {name: {"value": value, error: getattr(result, error)}}
    return {name: value}


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
