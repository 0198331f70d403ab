"""What `GAN.fit` is given: images and labels, checked before the first step."""

import types
import warnings

import keras
import numpy as np
from keras import ops

# What resampling and rounding add to values in [-1, 1].
_SLACK = 0.05


def unpack(data, conditional):
    """Returns the images, (batch, height, width, 3) float32 in [-1, 1], and labels of a batch.

    Args:
        data: Images; (images, labels); or a dictionary with "image" and perhaps "label". Images
            are integers from 0 to 255 or float in [-1, 1], labels integers (batch,) or (batch, 1).
        conditional: Whether there are to be labels; None is returned for them otherwise.

    Returns:
        Images and labels, (batch,) int32 or None. A label below 0 becomes one beyond all classes,
        which no layer looks up as another class.

    Raises:
        ValueError: Something else, or no labels where there are to be some.
    """
    images, labels = _pair(data, conditional)
    images = ops.convert_to_tensor(images)  # `train_on_batch` of PyTorch hands arrays on
    whole = "int" in keras.backend.standardize_dtype(images.dtype)
    images = ops.cast(images, "float32")
    if whole:
        images = images / 127.5 - 1.0
    if not conditional:
        return images, None
    labels = ops.cast(ops.reshape(labels, (-1,)), "int32")
    return images, ops.where(labels < 0, np.iinfo("int32").max, labels)


def check_values(data, conditional, image_shape, num_classes):
    """Checks the values of a batch, or of all images.

    Args:
        data: As for `unpack`.
        conditional: As for `unpack`.
        image_shape: (height, width, channels) of the networks.
        num_classes: Number of classes; None if there are none or if nobody tells.

    Returns:
        How many images they are.

    Raises:
        ValueError: What `unpack` does not take, images of another size, values outside of their
            range, labels beyond the classes. The message names what was found.
    """
    images, labels = _pair(data, conditional)
    shape = tuple(images.shape[1:])
    if shape != tuple(image_shape):
        raise ValueError(f"images are {_size(shape)}, but the networks take {_size(image_shape)}")
    dtype = keras.backend.standardize_dtype(images.dtype)
    if dtype != "uint8":
        _check_range(ops.convert_to_numpy(images), "int" in dtype)
    if not conditional:
        return len(images)
    labels = ops.convert_to_numpy(labels)
    if (np.mod(labels, 1) != 0).any():
        raise ValueError(f"labels must be whole numbers, got {labels.dtype} with fractions")
    low, high = labels.min(), labels.max()
    if low < 0 or (num_classes is not None and high >= num_classes):
        last = "" if num_classes is None else f" to {num_classes - 1}"
        raise ValueError(f"labels must be from 0{last}, got {low:g} to {high:g}")
    return len(images)


def check_no_weights(*weights):
    """Raises ValueError unless all weights of images or classes are None."""
    if any(each is not None for each in weights):
        raise ValueError(
            "a GAN takes neither class_weight nor sample_weight (a third part of the data): to "
            "weigh images, let the dataset give some of them more often "
            "(tf.data.Dataset.sample_from_datasets)"
        )


def _check_range(images, whole):
    low, high = images.min(), images.max()
    found = f"got values from {low:.4g} to {high:.4g}"
    if whole and not 0 <= low <= high <= 255:
        raise ValueError(f"integer images must be from 0 to 255, {found}")
    if not whole and not -1 - _SLACK <= low <= high <= 1 + _SLACK:
        raise ValueError(
            f"float images must be in [-1, 1], {found}: give images / 127.5 - 1, or uint8"
        )
    if not whole and low >= 0:
        warnings.warn(
            f"float images are taken to be in [-1, 1], {found}: if theirs is [0, 1], give "
            "2 * images - 1",
            stacklevel=5,
        )


def checked(x, y, check):
    """Checks all of an array, or the first batch of anything else that `fit` takes.

    Args:
        x: As for `keras.Model.fit`.
        y: Labels of an array, or None.
        check: Called with data as for `unpack`, and whether they are one batch.

    Returns:
        What to give to `fit` for x: x, or an iterator of the same if one was begun.
    """
    if isinstance(x, types.GeneratorType):
        first = next(x, None)
        if first is None:
            return x
        check(first, is_batch=True)
        return _again(first, x)
    if isinstance(x, keras.utils.PyDataset):
        check(x[0], is_batch=True)
    elif isinstance(x, dict) or hasattr(x, "shape"):
        check((x, y), is_batch=False)
    else:
        for first in x:
            check(keras.tree.map_structure(_of_one_replica, first), is_batch=True)
            break
    return x


def _of_one_replica(value):
    values = getattr(value, "values", None)
    return values[0] if isinstance(values, tuple) else value  # of a distributed dataset


def _again(first, others):
    yield first
    yield from others


def _pair(data, conditional):
    """Images and labels as they are, if they are what they should be but for their values."""
    images, labels = data, None
    if not isinstance(data, dict):
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        check_no_weights(weights)
    if isinstance(images, dict):
        if "image" not in images:
            raise ValueError(f"a batch has no 'image', only {', '.join(map(repr, images))}")
        images, labels = images["image"], images.get("label", labels)
    shape = tuple(images.shape)
    if len(shape) != 4:
        hint = ": add .batch(64) to the dataset" if len(shape) == 3 else ""
        raise ValueError(f"images must be (batch, height, width, 3), got {shape}{hint}")
    dtype = keras.backend.standardize_dtype(images.dtype)
    if "int" not in dtype and "float" not in dtype:
        raise ValueError(f"images must be integers from 0 to 255 or float in [-1, 1], got {dtype}")
    if not conditional:
        return images, None
    if labels is None:
        raise ValueError("the models take labels: fit needs a dataset of (images, labels)")
    shape = tuple(labels.shape)
    if len(shape) != 1 and shape[1:] != (1,):
        raise ValueError(
            f"labels must be (batch,), the number of each picture's class, got {shape}: of one-hot "
            "labels take the argmax"
        )
    return images, labels


def _size(shape):
    return "x".join(map(str, shape))
