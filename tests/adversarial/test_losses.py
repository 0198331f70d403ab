import numpy as np
import pytest
from keras import ops

from keras_sagan.adversarial import losses

RNG = np.random.default_rng(0)
REAL = RNG.normal(0.5, 2, size=(16, 1)).astype("float32")
FAKE = RNG.normal(-0.5, 2, size=(16, 1)).astype("float32")


def relu(x):
    return np.maximum(x, 0)


def ra_hinge(above, below):
    return relu(1 - (above - below.mean())).mean() + relu(1 + (below - above.mean())).mean()


# In float64, from the papers that losses.py names.
EXPECTED = {
    "hinge": lambda r, f: (relu(1 - r).mean() + relu(1 + f).mean(), -f.mean()),
    "non_saturating": lambda r, f: (
        -np.log(1 / (1 + np.exp(-r))).mean() - np.log(1 - 1 / (1 + np.exp(-f))).mean(),
        -np.log(1 / (1 + np.exp(-f))).mean(),
    ),
    "least_squares": lambda r, f: (
        ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        ((f - 1) ** 2).mean() / 2,
    ),
    "wasserstein": lambda r, f: (f.mean() - r.mean(), -f.mean()),
    "relativistic_average_hinge": lambda r, f: (ra_hinge(r, f), ra_hinge(f, r)),
}


@pytest.mark.parametrize("name", losses.LOSSES)
def test_equals_the_paper(name):
    loss = losses.get(name)
    real, fake = (ops.convert_to_tensor(logits) for logits in (REAL, FAKE))
    values = (
        float(loss.discriminator(real, fake)),
        float(loss.generator(real if loss.relativistic else None, fake)),
    )
    expected = EXPECTED[name](REAL.astype("float64"), FAKE.astype("float64"))
    np.testing.assert_allclose(values, expected, rtol=1e-5)  # float32 means of 16 numbers


def test_non_saturating_survives_large_logits():
    loss = losses.get("non_saturating")
    large = np.full((4, 1), 1e4, "float32")
    assert float(loss.discriminator(-large, large)) == pytest.approx(2e4)
    assert float(loss.generator(None, -large)) == pytest.approx(1e4)


def test_names_and_objects():
    mine = losses.AdversarialLoss(lambda r, f: 0, lambda r, f: 0)
    assert losses.get(mine) is mine
    (penalty,) = losses.get("wasserstein").regularizers
    assert penalty.weight == 10 and not losses.wasserstein(0).regularizers
    with pytest.raises(ValueError, match="unknown loss 'hindge' \\(did you mean hinge\\?\\)"):
        losses.get("hindge")
