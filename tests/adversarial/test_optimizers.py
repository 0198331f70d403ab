import keras
import numpy as np
import pytest
from keras import ops

from keras_sagan.adversarial.optimizers import Adam


def steps_of(optimizer, gradients):
    """Where each gradient in turn takes a weight, from 0."""
    variable = keras.Variable(np.zeros(gradients.shape[1], "float32"))
    optimizer.build([variable])
    values = []
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
        values.append(np.array(variable))
    return np.stack(values)


@pytest.fixture
def gradients():
    scales = np.array([1e-9, 1e-3, 1, 1e3, 0], "float32")  # epsilon matters for the first
    return np.random.default_rng(0).normal(size=(6, 5)).astype("float32") * scales


@pytest.mark.parametrize("beta_1", [0.0, 0.5])
def test_steps_are_those_of_the_paper(gradients, beta_1):
    """Algorithm 1 in float64, with the epsilon of the section before 2.1, as Keras has it."""
    rate, beta_2, epsilon = 1e-2, 0.9, 1e-7
    m = v = x = np.zeros(5)
    expected = []
    for t, g in enumerate(gradients.astype("float64"), 1):
        m, v = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g**2
        step = rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        x = x - step * m / (np.sqrt(v) + epsilon)
        expected.append(x)
    found = steps_of(Adam(rate, beta_1, beta_2), gradients)
    # Six steps, of values to 24 bits.
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-9)


def test_the_first_moment_is_kept_where_it_is_needed(gradients):
    moments = {}
    for name, arguments in {"gan": (1e-3, 0.0), "with": (1e-3, 0.5)}.items():
        optimizer = Adam(*arguments)
        steps_of(optimizer, gradients)
        moments[name] = sum(variable.shape == (5,) for variable in optimizer.variables)
    assert moments == {"gan": 1, "with": 2}
    with_hats = Adam(1e-3, 0.0, amsgrad=True)
    expected = steps_of(keras.optimizers.Adam(1e-3, 0.0, amsgrad=True), gradients)
    np.testing.assert_array_equal(steps_of(with_hats, gradients), expected)
