"""Records what github.com/brain-research/self-attention-gan computes, with its own code.

    python -m record.official CLONE          # in tests/importing

writes `fixtures/official_*.npz`. The code is for TensorFlow 1: it gets a module `tensorflow` that
is `tf.compat.v1` with stand-ins for what TensorFlow 2 lacks, so this program wants TensorFlow 2.
A fixture is one checkpoint, with the variables that its model.py and train_imagenet.py add.
"""

import json
import sys
import types
from pathlib import Path

import numpy as np
from filling import converged, filled, thinned_map

FIXTURES = Path(__file__).parents[1] / "fixtures"
SEED = 14
# By the suffix of the functions: gf_dim, df_dim, classes, length of the latent vector.
SHAPES = {"": (4, 6, 3, 20), "_test": (8, 4, 3, 128), "_test_64": (8, 8, 10, 32)}
KINDS = (
    (r"/u$", None),
    (r"^(global_step|[gd]_step)$", "count"),
    (r"^beta[12]_power|/Adam(_1)?$", "gain"),
    (r"/(mean|moving_mean)$", "mean"),
    (r"/(cbn_0/var|moving_variance)$", "gain"),  # larger, or attention sees one key
    (r"/var$", "variance"),
    (r"/gamma$", "gain"),
    (r"/sigma_ratio$", "gamma"),
    (r"/(w|Matrix|embedding_map)$", "kernel"),
    (r"/(bias|biases|beta)$", "bias"),
)


def state(shapes, seed):
    """Returns every tensor of a checkpoint.

    The matrix of a kernel is (all others, last axis), that of an embedding its transpose, and "u"
    is along the second of the two.
    """
    tensors = filled(shapes, KINDS, seed)
    for name in shapes:
        stem, _, last = name.rpartition("/")
        if last in ("w", "Matrix", "embedding_map") and f"{stem}/u" in shapes:
            kernel = tensors[name].T if last == "embedding_map" else tensors[name]
            tensors[f"{stem}/u"] = converged(kernel.reshape(-1, kernel.shape[-1]))[1][None]
    return tensors


def pictures(seed):
    """Returns what the discriminator is shown: (2, 128, 128, 3) in [-1, 1].

    Squares of 16, so that it finds some: in noise all keys are alike.
    """
    squares = np.random.default_rng(seed).uniform(-1, 1, (2, 8, 8, 3)).astype("float32")
    return squares.repeat(16, axis=1).repeat(16, axis=2)


def thinned_pictures(images):
    """Returns every fifth row and column: both parities, which see different kernel entries."""
    return images[:, ::5, ::5]


def stand_in():
    """Returns the module that its files import as `tensorflow`."""
    import tensorflow.compat.v1 as tf

    def batch_norm(x, decay, epsilon, scale, is_training, scope):
        """Of tf.contrib.layers, in inference; its variables in its order."""
        with tf.variable_scope(scope):
            variables = [
                tf.get_variable(name, x.shape[-1:], initializer=initializer, trainable=trainable)
                for name, initializer, trainable in (
                    ("beta", tf.zeros_initializer(), True),
                    ("gamma", tf.ones_initializer(), True),
                    ("moving_mean", tf.zeros_initializer(), False),
                    ("moving_variance", tf.ones_initializer(), False),
                )
            ]
        beta, gamma, mean, variance = variables
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)

    def max_pooling2d(inputs, pool_size, strides):
        return tf.nn.max_pool2d(inputs, pool_size, strides, "VALID")

    module = types.ModuleType("tensorflow")
    module.__dict__.update(vars(tf))
    module.layers = types.SimpleNamespace(max_pooling2d=max_pooling2d)
    layers = types.SimpleNamespace(
        xavier_initializer=tf.glorot_uniform_initializer, batch_norm=batch_norm
    )
    module.contrib = types.SimpleNamespace(layers=layers)
    return module


def add_training_variables(tf, generated, judged):
    """Adds what the training adds: slots of two Adams and counters."""
    tf.train.create_global_step()
    for name, outputs in (("d", judged), ("g", generated)):
        optimizer = tf.train.AdamOptimizer(1e-4, beta1=0.0)
        variables = [v for v in tf.trainable_variables() if v.name.startswith(f"model/{name}_")]
        gradients = optimizer.compute_gradients(tf.reduce_sum(outputs), variables)
        step = tf.get_variable(f"{name}_step", initializer=0, trainable=False)
        optimizer.apply_gradients(gradients, global_step=step)


def record_pair(tf, suffix, sizes, generator_module, discriminator_module):
    """Writes the fixture of a generator and the discriminator of the same suffix."""
    gf_dim, df_dim, classes, latent_dim = sizes
    rng = np.random.default_rng(SEED)
    latents = rng.normal(size=(2, latent_dim)).astype("float32")
    labels = np.array([0, classes - 1])
    with tf.Graph().as_default() as graph, tf.Session() as session:
        make = getattr(generator_module, f"generator{suffix}")
        images = make(tf.constant(latents), tf.constant(labels), gf_dim, classes, is_training=False)
        judge = getattr(discriminator_module, f"discriminator{suffix}")
        logits = judge(tf.constant(pictures(SEED)), tf.constant(labels), df_dim, classes)
        add_training_variables(tf, images, logits)
        variables = tf.global_variables()
        shapes = {v.op.name: tuple(v.shape.as_list()) for v in variables}
        tensors = state(shapes, SEED)
        for variable in variables:
            variable.load(tensors[variable.op.name].astype(variable.dtype.as_numpy_dtype), session)
        maps = [op.outputs[0] for op in graph.get_operations() if op.type == "Softmax"]
        images, logits, maps = session.run((images, logits, maps))
    np.savez_compressed(
        FIXTURES / f"official{suffix or '_baseline'}.npz",
        shapes=json.dumps(shapes),
        seed=SEED,
        latents=latents,
        labels=labels,
        images=thinned_pictures(images),
        logits=logits,
        **{f"map{i}": thinned_map(attention) for i, attention in enumerate(maps)},
    )


def record(clone):
    """Writes a fixture for each pair of its networks."""
    tf = stand_in()
    real = sys.modules["tensorflow"]
    sys.path.insert(0, clone)
    sys.modules["tensorflow"] = tf
    import discriminator
    import generator

    sys.modules["tensorflow"] = real
    for suffix, sizes in SHAPES.items():
        record_pair(tf, suffix, sizes, generator, discriminator)


if __name__ == "__main__":
    record(sys.argv[1])
