"""keras-sagan in `parity.py`: follows a peer from its weights, and writes down each step.

What it does is `GAN` as everybody has it; what `_SWITCHES` lists for a peer is set. Weights are
written under the peer's names, so that they can be compared with its own.
"""

import importlib
import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks import lockstep
from benchmarks.take_turns import take_turns

# The module of `keras_sagan.importing`, the optimizers' beta2, and what `GAN.compile` is told.
_PEERS = {
    "heykeetae": ("heykeetae", 0.9, {"joint_batch": False}),
    "biggan": ("biggan_pytorch", 0.999, {"joint_batch": True, "fake_labels": "uniform"}),
    "official": ("official", 0.999, {"joint_batch": True, "fake_labels": "uniform"}),
}
_PYTORCH = ("heykeetae", "biggan")


def prepare(settings):
    """Returns the task of a step."""
    from keras_sagan.cli.quiet import start_backend

    start_backend()
    return {"task": lockstep.turns(settings, _steps(settings))}


def _steps(settings):
    start = lockstep.start(settings, None)
    networks = {name: Twin(settings["peer"], name, start) for name in lockstep.NETWORKS}
    gan, written = _gan(settings, networks)
    fed = lockstep.inputs(settings)

    def weights():
        return {k: v for network in networks.values() for k, v in network.weights().items()}

    yield weights()
    if settings["peer"] == "official":
        _begin_with_generator(gan, fed["labels"][0])
    for step in range(1, len(fed["images"])):
        gan.step = step
        gan.reset_metrics()
        labels = fed["labels"][step] if gan.conditional else None
        logs = gan.train_on_batch(fed["images"][step], labels, return_dict=True)
        losses = {name: np.float32(logs[name]) for name in lockstep.LOSSES}
        yield {**losses, **written(), **weights()}


def _begin_with_generator(gan, labels):
    """Updates the generator once, on the draws of step 0."""
    import tensorflow as tf

    from keras_sagan.adversarial.step import Part, of_replica

    @tf.function
    def update():
        of_replica.updated, of_replica.part = [], Part(0, len(labels))
        gan._generator_step(tf.zeros((len(labels), 1)), tf.constant(labels))

    gan.step, gan.writes = 0, False
    update()
    gan.writes = True


def _gan(settings, networks):
    """Returns a compiled GAN, and a function that gives the logits of its last step."""
    import tensorflow as tf

    import keras_sagan

    _, beta_2, switches = _PEERS[settings["peer"]]
    batch = settings["batch_size"]
    joint = switches["joint_batch"] if settings["switched"] else True
    sizes = (2 * batch, batch) if joint else (batch,) * 3
    places = [tf.Variable(tf.zeros((size, 1))) for size in sizes]
    calls = itertools.cycle(places)  # in the order of a step, each time that it is traced

    class Written(keras_sagan.GAN):
        def critic(self, images, labels):
            logits = super().critic(images, labels)
            if self.writes:
                next(calls).assign(logits)
            return logits

    gan = Written(*(networks[name].model for name in lockstep.NETWORKS), seed=settings["seed"])
    gan.writes = True

    gan.compile(
        *_optimizers(settings, beta_2),
        ema=None,
        **{**switches, "joint_batch": joint if settings["switched"] else None},
    )
    if settings["switched"] and settings["peer"] == "official":
        gan.generator.get_layer("norm").momentum = 0.9999

    def logits():
        values = np.concatenate([place.numpy()[:, 0] for place in places])
        return dict(zip(lockstep.LOGITS, np.split(values, 3), strict=True))

    return gan, logits


def _optimizers(settings, beta_2):
    from keras import ops

    from keras_sagan.adversarial.optimizers import Adam

    class PyTorchAdam(Adam):
        """Adds epsilon where PyTorch does: after the correction for the first steps."""

        @property
        def epsilon(self):
            steps = ops.cast(self.iterations + 1, "float32")
            return self._epsilon * ops.sqrt(1.0 - ops.power(self.beta_2, steps))

        @epsilon.setter
        def epsilon(self, value):
            self._epsilon = value

    make, epsilon = Adam, {}
    if settings["switched"]:
        make, epsilon = (PyTorchAdam if settings["peer"] in _PYTORCH else Adam), {"epsilon": 1e-8}
    return [make(rate, beta_1=0.0, beta_2=beta_2, **epsilon) for rate in (1e-4, 4e-4)]


class Twin:
    """A network of ours with a peer's weights, which tells its own by the peer's names.

    Args:
        peer: A name in `_PEERS`.
        network: "generator" or "discriminator".
        start: The peer's weights by "network/name".
    """

    def __init__(self, peer, network, start):
        from keras_sagan.importing.state import State

        make = getattr(importlib.import_module(f"keras_sagan.importing.{_PEERS[peer][0]}"), network)
        prefix = f"{network}/"
        self._shapes = {k: v.shape for k, v in start.items() if k.startswith(prefix)}
        sizes = [int(np.prod(shape)) for shape in self._shapes.values()]
        self._ends = np.cumsum(sizes)

        def imported(values):
            parts = np.split(values, self._ends[:-1])
            tensors = {
                name.removeprefix(prefix): part.reshape(shape)
                for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
            }
            return make(State(tensors, peer))

        # Where each number goes is seen by importing numbers that tell where they came from. They
        # are whole, which float32 holds up to 2^24.
        numbers = np.arange(self._ends[-1], dtype=np.float32)
        assert len(numbers) < 2**24
        self._subtracted = self._flat(imported(np.zeros_like(numbers)))
        self._places = np.rint(self._flat(imported(numbers)) - self._subtracted).astype(int)
        assert len(np.unique(self._places)) == len(self._places)
        self.model = imported(
            np.concatenate([v.ravel() for k, v in start.items() if k in self._shapes])
        )

    def weights(self):
        """Returns the weights by "network/name", those alone that our network has."""
        values = np.full(self._ends[-1], np.nan, np.float32)
        values[self._places] = self._flat(self.model) - self._subtracted
        parts = np.split(values, self._ends[:-1])
        return {
            name: part.reshape(shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
            if not np.isnan(part).all()
        }

    def _flat(self, model):
        return np.concatenate([variable.numpy().ravel() for variable in model.variables])


if __name__ == "__main__":
    take_turns(prepare)
