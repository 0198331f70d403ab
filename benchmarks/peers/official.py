"""github.com/brain-research/self-attention-gan, its own modules from a clone: see `parity.py`.

The code is for TensorFlow 1: it gets a module `tensorflow` that is `tf.compat.v1`, with stand-ins
for what TensorFlow 2 lacks. The graph is that of its model.py with one tower. Images, labels and
latents come in by placeholders, in the place of its input pipeline and its random draws.
"""

import functools
import re
import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lockstep
import numpy as np
from take_turns import take_turns

_SLOTS = re.compile(r".*/Adam(_1)?$|.*(beta[12]_power|_step)(_1)?$")


def prepare(settings):
    """Returns the task that the settings name."""
    if settings["task"] != "parity":
        sys.exit("the official code is for TensorFlow 1: only its training is followed here")
    return {"task": parity(settings)}


def parity(settings):
    """The steps of its train_imagenet.py, each written down: see `parity.py`.

    A step of `tf.contrib.gan` updates the generator and then the discriminator, each in a run of
    its own with draws of its own. Ours begins with the discriminator, so that a step here is its
    second half and the first half of the next: the first update of the generator comes before.
    """
    graph = Graph(settings)
    return lockstep.turns(settings, _steps(settings, graph))


def _steps(settings, graph):
    fed = lockstep.inputs(settings)

    def update(network, step):
        draws = (fed[name][step] for name in ("images", "labels"))
        draws = (*draws, fed[f"{network}_latents"][step], fed[f"{network}_labels"][step])
        return graph.update(network, *draws)

    yield graph.weights()
    update("generator", 0)
    for step in range(1, len(fed["images"])):
        discriminator_loss, (real, fake) = update("discriminator", step)
        generator_loss, (of_generator,) = update("generator", step)
        values = (discriminator_loss, generator_loss, real, fake, of_generator)
        yield {
            **dict(zip((*lockstep.LOSSES, *lockstep.LOGITS), values, strict=True)),
            **graph.weights(),
        }


class Graph:
    """Its training graph and a session, begun at the common start.

    Args:
        settings: Of the benchmark; "as_ours" with "read": all reads of the spectral vectors come
            before they are moved. In its graph the discriminator's call on fakes reads them while
            that on real images moves them.
    """

    def __init__(self, settings):
        import tensorflow.compat.v1 as tf

        self._moves = {} if "read" in settings["as_ours"] else None
        self._logits = []
        batch = settings["batch_size"]
        size = settings["image_size"]
        self._graph = tf.Graph()
        with self._graph.as_default():
            dtype = getattr(tf, settings["precision"])
            self._fed = (
                tf.placeholder(dtype, (batch, size, size, 3)),
                tf.placeholder(tf.int64, (batch,)),
                tf.placeholder(dtype, (batch, settings["latent_dim"])),
                tf.placeholder(tf.int64, (batch, 1)),
            )
            self._model = self._built(settings, stand_in(dtype, self._fed[3], self._keep))
            self._session = tf.Session()
            self._variables = {
                ("generator/" if name.startswith("g_") else "discriminator/") + name: variable
                for variable in tf.global_variables()
                if (name := variable.op.name.removeprefix("model/")) != variable.op.name
                and not _SLOTS.match(name)
            }
            self._session.run(tf.global_variables_initializer())
        found = lockstep.start(settings, self._converged)
        self._load((self._variables[name], value) for name, value in found.items())

    def update(self, network, images, labels, latents, fake_labels):
        """Updates a network; returns its loss and the logits that it depends on."""
        of_generator = network == "generator"
        optimize, loss = (
            (self._model.g_optim, self._model.g_losses[-1])
            if of_generator
            else (self._model.d_optim, self._model.d_losses[-1])
        )
        # The generator's update does not depend on real images, and so moves no vector for them.
        logits = self._logits[1:] if of_generator else self._logits
        moves = [
            (variable, value)
            for name, (variable, value) in (self._moves or {}).items()
            if name.startswith("model/g_") or not of_generator
        ]
        fed = (images, labels, latents, fake_labels[:, None])
        _, loss, logits, moved = self._session.run(
            (optimize, loss, logits, [value for _, value in moves]),
            dict(zip(self._fed, fed, strict=True)),
        )
        self._load(zip((variable for variable, _ in moves), moved, strict=True))
        return loss, [values[:, 0] for values in logits]

    def weights(self):
        """Returns the weights by "network/name"."""
        return self._session.run(self._variables)

    def _load(self, values):
        with self._graph.as_default():
            for variable, value in values:
                variable.load(value, self._session)

    def _converged(self):
        weights = self.weights()
        for name in weights:
            place, _, last = name.rpartition("/")
            if last == "u":
                kinds = (f"{place}/{kind}" for kind in ("w", "Matrix", "embedding_map"))
                kernel = weights[next(kind for kind in kinds if kind in weights)]
                kernel = kernel.T if "d_embedding" in place else kernel
                matrix = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
                weights[name] = np.linalg.svd(matrix, full_matrices=False)[2][:1]
        return {name: value.astype(np.float32) for name, value in weights.items()}

    def _keep(self, variable):
        """Lets the moves of a spectral vector come after all reads."""
        if self._moves is not None:

            def assign(value):
                # Its call on fakes gives another value, equal to this one, and is not to move it.
                self._moves.setdefault(variable.op.name, (variable, value))
                return value

            variable.assign = assign

    def _built(self, settings, module):
        sys.modules["tensorflow"] = module
        sys.modules["utils_ori"] = types.SimpleNamespace(
            get_imagenet_batches=lambda *_, **__: [self._fed[:2]],
            squarest_grid_size=lambda count: (1, count),
        )
        sys.path.insert(0, settings["clone"])
        import discriminator
        import train_imagenet

        judge = discriminator.discriminator_test

        def kept(*args, **kwargs):
            self._logits.append(judge(*args, **kwargs))
            return self._logits[-1]

        discriminator.discriminator_test = kept
        flags = {
            "num_towers": 1,
            "batch_size": settings["batch_size"],
            "gf_dim": settings["width"],
            "df_dim": settings["width"],
            "z_dim": settings["latent_dim"],
            "number_classes": settings["classes"],
        }
        config = train_imagenet.FLAGS
        config(["parity", *(f"--{name}={value}" for name, value in flags.items())])
        step = module.train.create_global_step()
        return train_imagenet.model.SNGAN([self._fed[2]], config, step, devices=[])


def stand_in(dtype, fake_labels, keep):
    """Returns the module that its files import as `tensorflow`.

    Args:
        dtype: What is to stand for its float32.
        fake_labels: (batch, 1), in the place of those that it draws.
        keep: Called with each spectral vector when it is made.
    """
    import tensorflow.compat.v1 as tf

    def get_variable(name, shape=None, given=None, initializer=None, trainable=True):
        floats = given is None and callable(initializer)
        variable = tf.get_variable(
            name, shape, dtype if floats else given, initializer, trainable=trainable
        )
        if name == "u":
            keep(variable)
        return variable

    def batch_norm(x, decay, epsilon, scale, is_training, scope):
        """Of `tf.contrib.layers`, in training: fused, with the moving variance of n - 1."""
        with tf.variable_scope(scope):
            beta, gamma, *moving = (
                get_variable(name, x.shape[-1:], None, initializer, trainable)
                for name, initializer, trainable in (
                    ("beta", tf.zeros_initializer(), True),
                    ("gamma", tf.ones_initializer(), True),
                    ("moving_mean", tf.zeros_initializer(), False),
                    ("moving_variance", tf.ones_initializer(), False),
                )
            )
        mean, variance = tf.nn.moments(x, (0, 1, 2))
        count = np.prod(x.shape.as_list()[:3])
        for average, value in zip(moving, (mean, variance * (count / (count - 1))), strict=True):
            update = average.assign_sub((average - value) * (1 - decay))
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)

    module = types.ModuleType("tensorflow")
    module.__dict__.update(vars(tf))
    module.float32 = dtype
    module.get_variable = get_variable
    module.one_hot = functools.partial(tf.one_hot, dtype=dtype)
    module.multinomial = lambda logits, count: fake_labels
    module.layers = types.SimpleNamespace(
        max_pooling2d=lambda inputs, pool_size, strides: tf.nn.max_pool2d(
            inputs, pool_size, strides, "VALID"
        )
    )
    module.contrib = types.SimpleNamespace(
        layers=types.SimpleNamespace(
            xavier_initializer=tf.glorot_uniform_initializer, batch_norm=batch_norm
        ),
        gan=types.SimpleNamespace(
            eval=types.SimpleNamespace(image_grid=lambda images, **_: images)
        ),
    )
    return module


if __name__ == "__main__":
    take_turns(prepare)
