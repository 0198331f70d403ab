"""What samples are compared with: features of real pictures, computed once and kept."""

import hashlib
import json
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_sagan.errors import InputError
from keras_sagan.files.whole_files import replacing
from keras_sagan.metrics.features.cache import cache_folder
from keras_sagan.metrics.frechet import FrechetStatistics, KnownStatistics
from keras_sagan.metrics.intra_class import ClassStatistics
from keras_sagan.metrics.progress import Progress

_BATCH = 250
_KEPT = 10_000  # pictures whose features are kept, for metrics that need them one by one
_CLASSES = 1 << 28  # entries of the covariances of all classes; beyond, there are none


class Reference(NamedTuple):
    """Features of real pictures.

    Attributes:
        statistics: `KnownStatistics` of all of them.
        by_class: A list of them, or None without classes.
        features: (m, size) float32 of some, drawn by a seed; None of a file of statistics.
        protocol: A dictionary of what they are of.
    """

    statistics: KnownStatistics
    by_class: list | None
    features: np.ndarray | None
    protocol: dict


def of_source(source, identity, extractor):
    """Returns the reference of a data set: in one pass, or from the cache.

    Args:
        source: A source of images, see `keras_sagan.data.pipeline`.
        identity: Dictionary, in JSON's types, of what tells the source from any other.
        extractor: See `extractor.py`.
    """
    key = {
        "format": 1,
        "data": identity,
        "length": len(source),
        "image_size": source.image_size,
        "class_names": source.class_names,
        "extractor": [extractor.name, extractor.checksum, extractor.protocol],
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    path = cache_folder("references") / f"{digest[:16]}.npz"
    protocol = {**identity, "pictures": len(source), "image_size": source.image_size}
    if path.exists():
        try:
            return _loaded(path, protocol)
        except InputError:  # it was cut off, or its disk is damaged: made again
            path.unlink()
    arrays = _computed(source, extractor)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)
    return _loaded(path, protocol)


def of_file(path):
    """Returns the reference of a file of statistics, with "mu" and "sigma".

    As clean-fid, torch-fidelity and EDM write them.

    Raises:
        InputError: No such file, or one that holds something else.
    """
    return _loaded(Path(path), {"statistics": Path(path).name})


def _computed(source, extractor):
    """The arrays of a reference."""
    count, labelled = len(source), source.class_names is not None
    classes = len(source.class_names) if labelled else 0
    by_class = ClassStatistics(classes) if 0 < classes * extractor.size**2 <= _CLASSES else None
    statistics, kept = FrechetStatistics(), []
    chosen = np.zeros(count, bool)
    chosen[np.random.default_rng(0).permutation(count)[:_KEPT]] = True
    progress = Progress("real pictures", count)
    for first in range(0, count, _BATCH):
        indices = np.arange(first, min(first + _BATCH, count))
        images, labels = source.read(indices)
        features = extractor.extract(images).features
        statistics.update(features)
        kept.append(features[chosen[indices]])
        if by_class is not None:
            by_class.update(features, labels)
        progress.show(first + len(indices))
    arrays = {
        "mu": statistics.mean,
        "sigma": statistics.covariance,
        "count": np.int64(statistics.count),
        "features": np.concatenate(kept),
    }
    # A class of one picture has no covariance.
    if by_class is not None and min(each.count for each in by_class.classes) > 1:
        arrays["class_mu"] = np.stack([each.mean for each in by_class.classes])
        arrays["class_sigma"] = np.stack([each.covariance for each in by_class.classes])
        arrays["class_count"] = np.array([each.count for each in by_class.classes])
    return arrays


def _loaded(path, protocol):
    try:
        with np.load(path) as file:  # which loads no objects unless told
            arrays = dict(file)
    # A TypeError is of a single array, of an .npy file.
    except (OSError, ValueError, TypeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or "not a file of statistics (.npz)"
        raise InputError(f"{path}: {reason}") from error
    if not {"mu", "sigma"} <= set(arrays):
        raise InputError(f"{path}: holds {', '.join(sorted(arrays))}, and not mu and sigma")
    count = int(arrays["count"]) if "count" in arrays else None
    try:
        statistics = KnownStatistics(arrays["mu"], arrays["sigma"], count)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    by_class = None
    if "class_mu" in arrays:
        parts = (arrays[f"class_{name}"] for name in ("mu", "sigma", "count"))
        by_class = [KnownStatistics(*each) for each in zip(*parts, strict=True)]
    return Reference(statistics, by_class, arrays.get("features"), protocol)
