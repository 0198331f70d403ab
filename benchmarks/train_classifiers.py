"""Trains the small classifiers whose weights come with the package.

python -m benchmarks.train_classifiers paired_shapes
python -m benchmarks.train_classifiers cifar10_jpeg --data DIR   # a folder of its ten classes

Each writes its file in keras_sagan/metrics/features/data and says the share of pictures held out
whose class it tells, which the file holds too.
"""

import argparse
import time

import numpy as np

from benchmarks import machine


def main():
    """Trains one of them."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.train_classifiers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=["paired_shapes", "cifar10_jpeg"])
    parser.add_argument("--data", metavar="DIR", help="of cifar10_jpeg: the folder of its classes")
    parser.add_argument("--epochs", type=int, help="passes over the pictures")
    parser.add_argument("--out", metavar="FILE.npz", help="another place for the weights")
    options = parser.parse_args()
    from keras_sagan.data import ImageFolder, paired_shapes
    from keras_sagan.metrics.features import small_classifier

    if options.name == "paired_shapes":
        source, width = paired_shapes.PairedShapes(0), 24
        indices = np.arange(50_000)
    else:
        if options.data is None:
            parser.error("cifar10_jpeg needs --data DIR")
        source, width = ImageFolder(options.data, 32), 40
        indices = np.arange(len(source))
    images, labels = source.read(indices)
    model = small_classifier.small_classifier(32, 10, width)
    start = time.perf_counter()
    accuracy = small_classifier.train(model, images, labels, options.epochs)
    minutes = (time.perf_counter() - start) / 60
    path = options.out or small_classifier.delivered(options.name)
    small_classifier.save(model, path, accuracy)
    processor = machine.describe()["processor"]
    print(f"{path}: {accuracy:.4f} of the pictures held out, {minutes:.1f} min on {processor}")


if __name__ == "__main__":
    main()
