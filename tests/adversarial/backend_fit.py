"""Program of test_backends.py: trains on the backend of the environment; prints JSON.

Its arguments are a family and a folder that programs on all backends share. The first leaves the
weights to start from in the folder, and each leaves where 20 steps took it. Three steps follow;
then three from where each other backend got that is there.
"""

import json
import sys
from pathlib import Path

import keras

import keras_sagan
from keras_sagan.adversarial.optimizers import Adam
from keras_sagan.data import batches, paired_shapes
from keras_sagan.models import FAMILIES
from keras_sagan.sampling import sample

family, folder = sys.argv[1], Path(sys.argv[2])
keras.utils.set_random_seed(0)
generator, discriminator = FAMILIES[family]
shared = {"image_size": 32, "num_classes": 10, "width": 8, "attention": (8,)}
gan = keras_sagan.GAN(generator(latent_dim=16, **shared), discriminator(**shared))
gan.compile(Adam(1e-5, 0.0, 0.9), Adam(4e-5, 0.0, 0.9), ema=0.9)
start = folder / "start.weights.h5"
if start.exists():
    gan.load_weights(start)
else:
    gan.save_weights(start)
source = paired_shapes.PairedShapes(length=200)


def fit(steps):
    data = batches(source, 8, first_step=gan.step, flip=True)
    history = gan.fit(data, steps_per_epoch=1, epochs=steps, shuffle=False, verbose=0).history
    return {name: values for name, values in history.items() if "second" not in name}


def means(generator):
    return sample(generator, range(20)).mean(axis=(1, 2)).ravel().tolist()


results = {"first": fit(20)}
ours = keras.config.backend()
gan.save_weights(folder / f"{ours}.weights.h5")
gan.sampler.save(folder / f"{ours}.keras")
results["sample"] = means(gan.sampler)
results["onward"] = fit(3)
for other in ("tensorflow", "jax", "torch"):
    if other == ours or not (folder / f"{other}.keras").exists():
        continue
    gan.load_weights(folder / f"{other}.weights.h5")
    assert gan.step == 20
    results[f"onward_of_{other}"] = fit(3)
    results[f"sample_of_{other}"] = means(keras.saving.load_model(folder / f"{other}.keras"))
print(json.dumps(results))
