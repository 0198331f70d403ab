"""A small convolutional classifier, whose features tell pictures of one data set apart.

It is trained on labelled pictures in minutes on a CPU. Of two data sets the weights come with the
package, so that figures compare: `paired_shapes`, and CIFAR-10 (JPEG).
"""

import hashlib
import itertools
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
from keras import layers

from keras_sagan.errors import InputError
from keras_sagan.files.whole_files import replacing
from keras_sagan.layers import BatchNorm
from keras_sagan.metrics.features.batches import Features, in_batches
from keras_sagan.metrics.features.cache import cache_folder

_DATA = Path(__file__).parent / "data"
_LAST = {"data_format": "channels_last", "dtype": "float32"}  # whatever the global policy is
_BATCH = 250  # pictures at a time, when features are extracted
_CROP = 4  # pixels that a picture is moved by at most, each way, in training
_SEEN = 600_000  # pictures that a training sees, each counted as often as it comes
_MOST_EPOCHS = 200  # or a few hundred pictures take twenty minutes
_MOST = 50_000, 1 << 30  # pictures of a data set that are learned from, and their bytes
# The classes of CIFAR-10, whose weights come with the package.
_CIFAR10 = [
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
]


def small_classifier(image_size, num_classes, width=40):
    """Returns an untrained classifier.

    Args:
        image_size: Height and width of the pictures.
        num_classes: Number of classes.
        width: Channels of the first convolution; features are four times as many.

    Returns:
        A `keras.Model` from (batch, image_size, image_size, 3) in [-1, 1] to `{"features": (batch,
        4 width), "logits": (batch, num_classes)}`, float32.
    """

    seeds = itertools.count()  # the same start whoever calls, whatever the global seed

    def conv(x, channels, strides=1):
        start = keras.initializers.GlorotUniform(seed=next(seeds))
        x = layers.Conv2D(
            channels, 3, strides, "same", use_bias=False, kernel_initializer=start, **_LAST
        )(x)
        return layers.ReLU(dtype="float32")(BatchNorm(momentum=0.9, dtype="float32")(x))

    inputs = keras.Input((image_size, image_size, 3), name="image", dtype="float32")
    x = conv(inputs, width)
    size = image_size
    while size > 32:  # larger pictures: the first layers would take nearly all of the time
        size //= 2
        x = conv(x, width, 2)
    x = conv(x, 2 * width, 2)
    x = conv(x, 4 * width, 2)
    x = layers.Add(dtype="float32")([x, conv(conv(x, 4 * width), 4 * width)])
    features = layers.GlobalAveragePooling2D(**_LAST, name="features")(x)
    start = keras.initializers.GlorotUniform(seed=next(seeds))
    logits = layers.Dense(num_classes, kernel_initializer=start, name="logits", dtype="float32")(
        features
    )
    return keras.Model(inputs, {"features": features, "logits": logits}, name="classifier")


def train(model, images, labels, epochs=None, batch_size=128, seed=0, verbose=2):
    """Trains a classifier on all but a tenth of labelled pictures.

    Args:
        model: Of `small_classifier`.
        images: (n, height, width, 3) uint8.
        labels: (n,) integers.
        epochs: Passes over the pictures; None is as many as show 600,000, 200 at most.
        batch_size: Pictures a step.
        seed: Of the order, the mirroring and the moving of pictures, and of what is held out.
        verbose: Of `keras.Model.fit`.

    Returns:
        The share of the pictures held out whose class it tells.
    """
    epochs = epochs or min(max(_SEEN // len(images), 1), _MOST_EPOCHS)
    order = np.random.default_rng(seed).permutation(len(images))
    held_out, learned = np.split(order, [max(len(order) // 10, 1)])
    targets = np.eye(model.output["logits"].shape[-1], dtype=np.float32)[labels]
    batches = _Batches(images, targets, learned, min(batch_size, len(learned)), seed)
    steps = epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(
        0.02, steps - steps // 5, warmup_target=0.2, warmup_steps=steps // 5
    )
    classifier = keras.Model(model.input, model.output["logits"])
    classifier.compile(
        keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=5e-4),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
    )
    classifier.fit(batches, epochs=epochs, verbose=verbose)
    logits = classifier.predict(_in_range(images[held_out]), _BATCH, verbose=0)
    return float(np.mean(logits.argmax(axis=1) == labels[held_out]))


class _Batches(keras.utils.PyDataset):
    """Batches of mirrored and moved pictures, in another order each epoch."""

    def __init__(self, images, targets, indices, batch_size, seed):
        super().__init__()
        self._images, self._targets = images, targets
        self._indices, self._batch_size = indices, batch_size
        self._rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return len(self._indices) // self._batch_size

    def on_epoch_end(self):
        self._rng.shuffle(self._indices)

    def __getitem__(self, i):
        indices = self._indices[i * self._batch_size :][: self._batch_size]
        images = self._images[indices]
        mirrored = self._rng.random(len(images)) < 0.5
        images[mirrored] = images[mirrored, :, ::-1]
        size = images.shape[1]
        images = np.pad(images, [(0, 0), (_CROP, _CROP), (_CROP, _CROP), (0, 0)], "reflect")
        starts = self._rng.integers(2 * _CROP + 1, size=(len(images), 2))
        moved = [x[a : a + size, b : b + size] for x, (a, b) in zip(images, starts, strict=True)]
        return _in_range(np.stack(moved)), self._targets[indices]


def _in_range(images):
    return images.astype(np.float32) / 127.5 - 1


def delivered(name):
    """Returns the path of weights that come with the package."""
    return _DATA / f"{name}.npz"


def save(model, path, accuracy):
    """Writes the weights of a model in 16 bits, by their number, and what it reached."""
    weights = {f"{i:03d}": value.astype(np.float16) for i, value in enumerate(model.get_weights())}
    np.savez_compressed(path, accuracy=np.float32(accuracy), **weights)


class ClassifierExtractor:
    """Features and logits of a classifier that was saved: see `extractor.py`.

    Args:
        name: What it is called.
        path: Of its weights.
        image_size: Height and width of its pictures.
        class_names: Of its classes.

    Attributes:
        accuracy: Share of pictures held out in its training whose class it tells.

    Raises:
        InputError: Weights that are not its.
    """

    def __init__(self, name, path, image_size, class_names, width=40):
        self.name = name
        self.image_size = image_size
        self.class_names = list(class_names)
        model = small_classifier(image_size, len(self.class_names), width)
        try:
            with np.load(path) as file:  # which loads no objects unless told
                self.accuracy = float(file["accuracy"])
                names = sorted(set(file) - {"accuracy"})
                model.set_weights([file[name].astype(np.float32) for name in names])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} does not hold the weights of {name}: {error}") from error
        self.size = model.output["features"].shape[-1]
        self.checksum = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        self.protocol = {"resize": "none", "range": "[-1, 1]", "accuracy": round(self.accuracy, 4)}
        self._model = model

    def extract(self, images):
        """Returns the `Features` of uint8 images (n, image_size, image_size, 3)."""
        if images.shape[1:3] != (self.image_size, self.image_size):
            raise InputError(
                f"{self.name} is of pictures of {self.image_size}x{self.image_size}, and these "
                f"are {images.shape[1]}x{images.shape[2]}"
            )
        results = in_batches(
            lambda batch: self._model.predict_on_batch(_in_range(batch)), images, _BATCH
        )
        return Features(results["features"], results["logits"])


def paired_shapes():
    """Returns the extractor of `paired_shapes`, which comes with the package."""
    names = [str(i) for i in range(10)]
    return ClassifierExtractor("paired_shapes", delivered("paired_shapes"), 32, names, width=24)


def cifar10_jpeg(name="cifar10_jpeg"):
    """Returns the extractor of CIFAR-10 (JPEG files), which comes with the package."""
    return ClassifierExtractor(name, delivered("cifar10_jpeg"), 32, _CIFAR10)


def classifier(source, identity):
    """Returns the extractor of a data set with classes, which is trained if there is none yet.

    That of CIFAR-10 (JPEG) comes with the package.

    Args:
        source: A source of images, see `keras_sagan.data.pipeline`.
        identity: Dictionary, in JSON's types, of what tells the source from any other.

    Raises:
        InputError: The source has no classes, or only one.
    """
    names, size = source.class_names, source.image_size
    if names is None or len(names) < 2:
        raise InputError(
            "classifier: the data has no classes to tell apart: choose another extractor"
        )
    if names == _CIFAR10 and size == 32:
        return cifar10_jpeg("classifier")
    key = json.dumps([identity, size, names], sort_keys=True)
    path = cache_folder("classifiers") / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if path.exists():
        try:
            return ClassifierExtractor("classifier", path, size, names)
        except InputError:  # it was cut off, or its disk is damaged: trained again
            path.unlink()
    count = min(len(source), _MOST[0], _MOST[1] // (3 * size * size))
    indices = np.random.default_rng(0).permutation(len(source))[:count]
    print(f"classifier: trains on {count} pictures of {len(names)} classes", flush=True)
    images, labels = source.read(np.sort(indices))
    model = small_classifier(size, len(names))
    accuracy = train(model, images, labels)
    with replacing(path) as partial, partial.open("wb") as file:
        save(model, file, accuracy)
    print(f"classifier: tells {accuracy:.1%} of the pictures held out ({path})", flush=True)
    return ClassifierExtractor("classifier", path, size, names)
