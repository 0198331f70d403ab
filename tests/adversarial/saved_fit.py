"""Program of test_saving.py: trains from and to a file; prints nothing.

Its arguments are a folder and a part: "first" trains for two steps into `gan.keras`, and then two
more into `expected.npz`; "second" goes on from the file into `found.npz`.
"""

import sys
from pathlib import Path

import keras_sagan  # alone, and before Keras

import keras  # isort: skip
import numpy as np

folder, part = Path(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (32, 32, 32, 3)).astype("uint8")
labels = rng.integers(0, 3, 32).astype("int32")


def train(gan, first, steps):
    rows = slice(8 * first, 8 * (first + steps))
    gan.fit(images[rows], labels[rows], batch_size=8, shuffle=False, verbose=0)


def write(gan, path):
    optimizers = (gan.generator_optimizer, gan.discriminator_optimizer)
    variables = [*gan.variables, *(v for each in optimizers for v in each.variables)]
    np.savez(path, *(np.asarray(v, "float32") for v in variables), sample=gan.sample(range(4)))


if part == "first":
    keras.utils.set_random_seed(0)
    shared = {"image_size": 32, "num_classes": 3, "width": 8, "attention": (8,)}
    gan = keras_sagan.GAN(
        keras_sagan.models.DCGANGenerator(latent_dim=16, **shared),
        keras_sagan.models.DCGANDiscriminator(**shared),
        seed=5,
    )
    gan.compile(loss="wasserstein", ema=0.5)
    train(gan, 0, 2)
    gan.save(folder / "gan.keras")
    train(gan, 2, 2)
    write(gan, folder / "expected.npz")
else:
    gan = keras.saving.load_model(folder / "gan.keras")
    train(gan, 2, 2)
    write(gan, folder / "found.npz")
