"""keras-sagan as a contestant: see `contest.py`. On the backend of KERAS_BACKEND."""

import itertools
import os
import queue
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.take_turns import take_turns


def prepare(settings):
    """Returns the task that the settings name, and what there is to tell of it."""
    from keras_sagan.cli.quiet import start_backend

    start_backend()  # with oneDNN on every x86 processor, as the programs
    import keras

    keras.utils.set_random_seed(0)
    if settings["precision"] != "float32":
        keras.config.set_dtype_policy(f"mixed_{settings['precision']}")
    tasks = {
        "train_step": train_step,
        "sample": sample,
        "attention": attention,
        "input_pipeline": input_pipeline,
        "matmul": matmul,
    }
    about = tasks[settings["task"]](settings)
    if plain := settings.get("plain"):
        from keras_sagan.layers import kernels

        # It is traced when it is first run.
        about["task"] = kernels.use("reference", *plain)(about["task"])
    return {**about, "device_peak": device_peak(), "backend": keras.config.backend()}


def device_peak():
    """Returns a function that gives the peak of a GPU's memory, or None without a GPU."""
    import keras

    if keras.config.backend() == "jax":
        import jax

        device = jax.devices()[0]
        if device.platform == "cpu":
            return None
        return lambda: device.memory_stats()["peak_bytes_in_use"]
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return None
    return lambda: tf.config.experimental.get_memory_info("GPU:0")["peak"]


def networks(settings):
    """Returns a generator and a discriminator of the settings."""
    from keras_sagan import models

    generator, discriminator = models.FAMILIES[settings["family"]]
    shared = {
        "image_size": settings["image_size"],
        "width": settings["width"],
        "num_classes": settings["classes"],
        "attention": settings["attention"],
    }
    return generator(latent_dim=settings["latent_dim"], **shared), discriminator(**shared)


def train_step(settings):
    """A step of `fit`, and reading its logs."""
    import numpy as np

    from benchmarks import flops
    from keras_sagan import GAN

    gan = GAN(*networks(settings))
    gan.compile()
    batch, size = settings["batch_size"], settings["image_size"]
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    labels = rng.integers(0, settings["classes"] or 1, batch, dtype=np.int32)
    steps = Fit(gan, (images, labels))
    return {"task": steps.step, "flops": flops.step(gan.generator, gan.discriminator, batch)}


class Fit:
    """`fit` in a thread, which stops before every step until it is asked for.

    Args:
        gan: The compiled `GAN`.
        batch: The batch of every step, in NumPy.
    """

    def __init__(self, gan, batch):
        import keras

        self._go, self._done = queue.Queue(), queue.Queue()

        class Stop(keras.callbacks.Callback):
            def on_train_batch_begin(callback, batch, logs=None):
                self._go.get()

            def on_train_batch_end(callback, batch, logs=None):
                self._done.put({name: float(value) for name, value in logs.items()})

        def run():
            try:
                gan.fit(_endless(batch), steps_per_epoch=1 << 30, verbose=0, callbacks=[Stop()])
            except BaseException as error:
                self._done.put(error)

        threading.Thread(target=run, daemon=True).start()

    def step(self):
        self._go.put(None)
        logs = self._done.get()
        if isinstance(logs, BaseException):
            raise logs
        return logs


def _endless(batch):
    """A data set of one batch: of tf.data on TensorFlow, else a Python generator."""
    import keras

    if keras.config.backend() != "tensorflow":
        return (batch for _ in itertools.count())
    import tensorflow as tf

    return tf.data.Dataset.from_tensors(batch).repeat().prefetch(2)


def matmul(settings):
    """Matrix products of the size that is fastest here: what the machine can do."""
    from benchmarks import machine

    rates = machine.measured_matmuls(settings["precision"])
    task, flops = machine.matmuls(max(rates, key=rates.get), settings["precision"])
    return {"task": task, "flops": flops}


def sample(settings):
    """A batch of pictures from seeds, as uint8 on the host."""
    from keras_sagan.sampling import Sampler

    sampler = Sampler(networks(settings)[0])
    seeds = itertools.count()
    batch = settings["batch_size"]

    def draw():
        first = next(seeds) * batch
        return sampler.sample(range(first, first + batch), batch_size=batch)

    return {"task": draw}


def attention(settings):
    """The attention layer on a map, forward, or with the gradients of all inputs and weights.

    In the first published form (all locations attend to all, biased convolutions) or the final one
    (pooled keys and values, spectral norm), which are those of the peers.
    """
    import keras
    import numpy as np

    from keras_sagan.layers import SelfAttention2D

    first = {
        "value_reduction": 1,
        "pool_size": 1,
        "output_projection": False,
        "use_bias": True,
        "spectral_norm": False,
    }
    layer = SelfAttention2D(**(first if settings["form"] == "first" else {}))
    layer.build(tuple(settings["shape"]))
    values = np.random.default_rng(0).normal(size=settings["shape"])
    x = keras.ops.cast(values, layer.compute_dtype)
    run = {"tensorflow": _tensorflow_attention, "jax": _jax_attention}[keras.config.backend()]
    return {"task": run(layer, x, settings["backward"])}


def _tensorflow_attention(layer, x, backward):
    import tensorflow as tf

    @tf.function
    def forward():
        return layer(x)

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.cast(layer(x, training=True), tf.float32))
        return tape.gradient(loss, [x, *layer.trainable_variables])

    # What is read waits for what is computed.
    return lambda: [
        t.numpy().shape for t in tf.nest.flatten(gradients() if backward else forward())
    ]


def _jax_attention(layer, x, backward):
    import jax
    import keras

    def loss(x, weights):
        outputs, _ = layer.stateless_call(weights, state, x, training=True)
        return keras.ops.sum(keras.ops.cast(outputs, "float32"))

    weights = [variable.value for variable in layer.trainable_variables]
    state = [variable.value for variable in layer.non_trainable_variables]
    gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))
    forward = jax.jit(lambda x, weights: layer.stateless_call(weights, state, x)[0])
    return lambda: jax.block_until_ready((gradients if backward else forward)(x, weights))


def input_pipeline(settings):
    """Shuffled batches of a folder of JPEG files, cropped and resized, as uint8 on the host.

    With a folder for it, from a cache, which is made beforehand.
    """
    import keras

    from keras_sagan.data import ImageCache, ImageFolder, batches
    from keras_sagan.data.cache import folder_identity

    source = ImageFolder(settings["folder"], settings["image_size"])
    if folder := settings.get("cache"):
        source = ImageCache(source, folder, folder_identity(source.folder, source.paths), "images")
        source.fill()
    data = iter(batches(source, settings["batch_size"], flip=True))
    parts = settings["batches"]  # many more than are read ahead while others take their turns
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        @tf.function  # where `fit` reads them
        def read():
            for _ in tf.range(parts):
                next(data)
    else:

        def read():
            for _ in range(parts):
                next(data)

    return {"task": read, "parts": parts}


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    take_turns(prepare)
