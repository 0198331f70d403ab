"""Samples by class, interpolations, and a sweep of the truncation."""

import numpy as np

from keras_sagan.evaluating.titled_sheets import titled_sheet
from keras_sagan.exporting.sample import arc

TRUNCATIONS = np.arange(7) / 5  # 0 to 1.2
_ROWS, _COLUMNS = 10, 10
_PAIRS, _STEPS = 6, 9  # of interpolations


def samples(subject):
    """Draws a row a class, a seed a column; or rows of seeds without classes.

    Args:
        subject: A `Subject`.

    Yields:
        A name and a PIL image, as the other functions here do.
    """
    if subject.class_names is None:
        seeds = subject.seed + np.arange(_ROWS * _COLUMNS)
        images = subject.draw(subject.latents(seeds))
        title = f"{subject.run.name}: seeds {seeds[0]} to {seeds[-1]}"
        yield "samples", titled_sheet(_rows(images, _ROWS), title)
        return
    seeds, classes = subject.seed + np.arange(_COLUMNS), subject.classes(_ROWS)
    latents = np.tile(subject.latents(seeds), (len(classes), 1))
    images = subject.draw(latents, np.repeat(classes, _COLUMNS))
    title = f"{subject.run.name}: a class a row, a seed a column"
    names = _names(subject, classes)
    yield "samples", titled_sheet(_rows(images, len(classes)), title, names, [*map(str, seeds)])


def interpolation(subject):
    """Draws what lies between seeds, and, of one seed a row, between classes."""
    seeds = subject.seed + np.arange(_PAIRS + 1)
    latents, labels, of_class = subject.latents(seeds), None, [""] * _PAIRS
    if subject.class_names is not None:
        classes = np.resize(subject.classes(_PAIRS), _PAIRS)
        labels = np.repeat(classes, _STEPS)
        of_class = [f"{name} " for name in _names(subject, classes)]
    points = np.concatenate([arc(*latents[i : i + 2], _STEPS) for i in range(_PAIRS)])
    names = [f"{of_class[i]}{seeds[i]} to {seeds[i + 1]}" for i in range(_PAIRS)]
    title = f"{subject.run.name}: from one seed to the next, along the arc between their latents"
    images = _rows(subject.draw(points, labels), _PAIRS)
    yield "interpolation_seeds", titled_sheet(images, title, names)
    if subject.class_names is not None:
        yield "interpolation_classes", _between_classes(subject)


def _between_classes(subject):
    classes = subject.classes(_PAIRS + 1)
    first, second = classes[:-1], classes[1:]
    latents = subject.latents(subject.seed + np.arange(len(first)))
    images = [
        subject.draw_between(latents, first, second, share) for share in np.linspace(0, 1, _STEPS)
    ]
    names = [
        f"{one} to {other}"
        for one, other in zip(_names(subject, first), _names(subject, second), strict=True)
    ]
    title = f"{subject.run.name}: from one class to another, of one seed a row"
    return titled_sheet(np.stack(images, axis=1), title, names)


def truncation(subject):
    """Draws rows of one seed each, at truncations from 0 to 1.2."""
    seeds, labels = subject.seed + np.arange(_ROWS), None
    names = [f"seed {seed}" for seed in seeds]
    if subject.class_names is not None:
        classes = np.resize(subject.classes(_ROWS), _ROWS)
        labels = np.repeat(classes, len(TRUNCATIONS))
        of_class = _names(subject, classes)
        names = [f"{name} {seed}" for name, seed in zip(of_class, seeds, strict=True)]
    latents = subject.latents(seeds)[:, None] * TRUNCATIONS[:, None].astype(np.float32)
    images = subject.draw(latents.reshape(-1, latents.shape[-1]), labels)
    title = f"{subject.run.name}: a seed a row, by truncation of the latents (1 is as trained)"
    columns = [f"{value:g}" for value in TRUNCATIONS]
    yield "truncation", titled_sheet(_rows(images, _ROWS), title, names, columns)


def _rows(images, rows):
    return images.reshape(rows, -1, *images.shape[1:])


def _names(subject, classes):
    return [subject.class_names[label] for label in classes]
