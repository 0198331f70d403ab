import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("only TensorFlow keeps what XLA would drop", allow_module_level=True)

import tensorflow as tf

from keras_sagan.layers.kernels.recompute import recomputed


def test_gradients_are_those_of_the_function():
    a, b = (tf.constant(np.random.default_rng(i).normal(size=(3, 4)), "float32") for i in (0, 1))

    def function(a, b):
        return tf.sin(a) * b, a + b * b

    found = []
    for call in (function, lambda a, b: recomputed(function, a, b)):
        with tf.GradientTape() as outer:
            outer.watch([a, b])
            with tf.GradientTape() as inner:
                inner.watch([a, b])
                first, second = call(a, b)
                value = tf.reduce_sum(first * second)
            gradients = inner.gradient(value, [a, b])
            penalty = tf.reduce_sum(tf.square(gradients[0]) + tf.square(gradients[1]))
        found.append([first, second, *gradients, *outer.gradient(penalty, [a, b])])
    for tensor, expected in zip(*found, strict=True):
        np.testing.assert_allclose(tensor, expected, rtol=1e-6)


def test_what_the_gradient_does_not_need_is_not_computed_again():
    def function(x, kernel):
        kernel = tf.exp(kernel)  # needed by the gradient
        return tf.matmul(x, kernel)  # not needed

    @tf.function
    def gradients(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            outputs = recomputed(function, x, kernel)
        return tape.gradient(outputs, [x, kernel])

    x = tf.ones((2, 3))
    graph = gradients.get_concrete_function(x, tf.ones((3, 4))).graph
    optimized = tf.compat.v1.graph_util.extract_sub_graph(
        graph.as_graph_def(), [tensor.op.name for tensor in graph.outputs]
    )
    counted = [node.op for node in optimized.node]
    # Forward is not fetched here, so what is left is the gradient's: no third product.
    assert counted.count("Exp") == 1
    assert counted.count("MatMul") == 2
