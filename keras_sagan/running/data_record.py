"""What a run learns from: said when it starts, kept in its folder, compared when it goes on.

data.json holds how many images there are, and how many of each class where that is known:
{"images": 24, "classes": {"cat": 12, "dog": 12}}. Names are as in classes.txt, one line each.
"""

import json

from keras_sagan.data.names import one_line
from keras_sagan.errors import InputError
from keras_sagan.files.whole_files import replacing

_MOST_NAMES = 20  # classes that are said one by one


def said(source, learned):
    """Returns lines about the classes of a source, and about what it left out.

    Args:
        source: See `keras_sagan.data.batches`. It may have `class_counts` and `left_out`, as
            `ImageFolder` has.
        learned: Whether the model has classes.
    """
    lines = []
    classes = _classes(source)
    if classes:
        kind = f"{len(classes)} class{'es' * (len(classes) > 1)}"
        without = "" if learned else ", learned as one, for the model has no classes"
        lines.append(f"{kind}{without}: {_list(classes)}")
    if left_out := getattr(source, "left_out", ""):
        lines.append(f"left out: {left_out}")
    return lines


def write(run, source):
    """Writes data.json, whole or not at all."""
    text = json.dumps({"images": len(source), "classes": _classes(source)}, indent=2)
    with replacing(run.data_record) as file:
        file.write_text(f"{text}\n", encoding="utf-8")


def check_same(run, source, where):
    """Raises InputError unless a source is what a run learned from.

    Classes must have the same names, in the same order, or the numbers of the run would mean
    others. Classes and the whole must have as many images, or steps would get other batches.
    Runs of older versions have no data.json: of theirs the names alone are compared.

    Args:
        run: The `Run`.
        source: See `said`.
        where: What the source is, as errors name it.
    """
    classes = _classes(source)
    learned = run.config().model.num_classes is not None
    if learned and run.classes.exists():
        _check_names(run, list(classes or ()), where)
    if run.data_record.exists():
        _check_counts(run, len(source), classes if learned else None, where)


def _check_names(run, names, where):
    old = run.class_names()
    if names == old:
        return
    changes = []
    if missing := [name for name in old if name not in names]:
        changes.append(f"without {_few(missing)}")
    if new := [name for name in names if name not in old]:
        changes.append(f"with {_few(new)}")
    raise InputError(
        f"{where} has other classes than the run in {run.path} has learned, "
        f"{' and '.join(changes) or 'in another order'}: make them those of {run.classes}, or "
        "start another run"
    )


def _check_counts(run, images, classes, where):
    try:
        old = json.loads(run.data_record.read_text(encoding="utf-8"))
        counts, old_images = dict(old["classes"] or {}), int(old["images"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{run.data_record} is damaged: delete it, and the run goes on with any images"
        ) from error
    changes = [
        f"{count} images of {name}, which had {counts[name]}"
        for name, count in (classes or {}).items()
        if count is not None and counts.get(name) not in (count, None)
    ]
    if not changes and images != old_images:
        changes = [f"{images} images, and had {old_images}"]
    if changes:
        raise InputError(
            f"{where} is not as it was when the run in {run.path} began: it has {_few(changes)}; "
            f"make it so again, or delete {run.data_record} to go on with other batches"
        )


def _classes(source):
    """Number of images of each class, or None where it is not known, by name; None without."""
    if source.class_names is None:
        return None
    counts = getattr(source, "class_counts", None) or [None] * len(source.class_names)
    return dict(zip(map(one_line, source.class_names), counts, strict=True))


def _list(classes):
    """The classes and their numbers of images, the middle of a long list left out."""
    one_by_one = [name if n is None else f"{name} {n}" for name, n in classes.items()]
    if len(one_by_one) <= _MOST_NAMES:
        return ", ".join(one_by_one)
    text = f"{', '.join(one_by_one[:3])}, ..., {one_by_one[-1]}"
    if None in classes.values():
        return text
    fewest, most = (extreme(classes, key=classes.get) for extreme in (min, max))
    return f"{text}; from {classes[fewest]} ({fewest}) to {classes[most]} ({most})"


def _few(items):
    """The first of some items as text."""
    text = ", ".join(items[:3])
    return text if len(items) <= 3 else f"{text} and {len(items) - 3} more"
