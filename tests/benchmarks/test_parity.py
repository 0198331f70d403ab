import json

import numpy as np
import pytest
from programs import REPOSITORY, run

from benchmarks import divergence, lockstep, parity, parity_ours
from keras_sagan import GAN
from keras_sagan.adversarial.fakes import uniform_labels
from keras_sagan.models import DCGANDiscriminator, DCGANGenerator
from keras_sagan.sampling import latents

pytestmark = pytest.mark.slow

FIXTURE = REPOSITORY / "tests" / "importing" / "fixtures" / "biggan_pytorch_32.npz"


def test_help_is_quick_and_mistakes_are_one_line(tmp_path):
    process = run("-X", "importtime", "-m", "benchmarks.parity", "--help")
    assert process.returncode == 0 and "benchmarks.parity" in process.stdout
    loaded = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert not {"keras", "tensorflow", "torch"} & loaded
    for arguments, told in (
        ([], "--peer"),
        (["--peer", "studiogan=."], "--peer"),
        (["--peer", "biggan=.", "--plot", tmp_path / "none"], "--plot"),
    ):
        process = run("-m", "benchmarks.parity", *arguments)
        assert process.returncode == 2
        (line,) = process.stderr.splitlines()
        assert line.startswith("error: ") and told in line


def record(scale=1.0, **changes):
    """A step of a network with two tensors, one of which a training does not move."""
    found = {
        "discriminator_loss": 2.0,
        "generator_loss": 0.5,
        **{name: np.array([3.0, 4.0]) for name in lockstep.LOGITS},
        "generator/kernel": scale * np.array([3.0, 4.0]),
        "generator/bias": np.array([1e-9]),
    }
    return {**found, **changes}


def test_distances_are_relative_to_losses_logits_weights_and_updates():
    start = record(scale=0.9)  # the kernel goes a tenth of the way
    other = record(
        scale=1.01,
        discriminator_loss=2.2,
        generator_loss=0.6,
        real_logits=np.array([3.0, 4.0 + 3**0.5]),
    )
    found = divergence.distances(other, record(), start)
    # 0.2 of 2, and 0.1 of a loss below 1; of all logits, whose squares are 75, 3.
    assert found == pytest.approx(
        {"losses": 0.1, "logits": 0.2, "weights_worst": 0.01, "weights": 0.01, "updates": 0.1}
    )


def test_a_tensor_is_compared_only_once_it_has_moved():
    start = record(scale=0.9, **{"generator/bias": np.zeros(1)})  # and the reference is at 1e-9
    noisy = {"generator/bias": np.array([1e-3])}
    assert divergence.distances(record(**noisy), record(), start)["weights_worst"] == 0
    moved = {"generator/bias": np.array([2e-5])}
    found = divergence.distances(record(**noisy), record(**moved), start)
    assert found["weights_worst"] == pytest.approx(49)


def test_the_unit_is_the_largest_of_the_peers_own_distances_so_far():
    def steps(*values):
        return [dict.fromkeys(divergence.MEASURES, value) for value in values]

    times = divergence.times_own(steps(2, 2, 12), [steps(1, 4, 1), steps(0.5, 1, 2)])
    assert times == {measure: [2, 0.5, 3] for measure in divergence.MEASURES}


def test_a_verdict_follows_the_median_over_the_steps():
    def runs(ours):
        own = [{**dict.fromkeys(divergence.MEASURES, 1.0)} for _ in ours]
        steps = [dict.fromkeys(divergence.MEASURES, value) for value in ours]
        return {**dict.fromkeys(("float64", *parity.OWN), own), "ours": steps}

    for ours, verdict in (((1, 2, 99), "rounding"), ((1, 4, 4), "beyond")):
        rows = parity.summary("peer", runs(ours))
        assert [row.get("verdict") for row in rows] == [None, None, None, verdict]


def test_a_reordered_run_is_fed_batches_turned_round_and_writes_them_in_their_order(tmp_path):
    np.savez(tmp_path / lockstep.INPUTS, images=np.arange(6).reshape(2, 3))
    settings = {"folder": str(tmp_path), "run": "some", "reordered": True}
    fed = lockstep.inputs(settings)["images"]
    np.testing.assert_array_equal(fed, [[2, 1, 0], [5, 4, 3]])
    task = lockstep.turns(settings, ({"real_logits": logits, "a/b": logits} for logits in fed))
    task()
    task()
    written = lockstep.taken(tmp_path, "some", 1)
    np.testing.assert_array_equal(written["real_logits"], [3, 4, 5])
    np.testing.assert_array_equal(written["a/b"], [5, 4, 3])
    assert not lockstep.record_path(tmp_path, "some", 1).exists()


def test_all_runs_start_from_the_weights_of_the_first(tmp_path):
    settings = {"folder": str(tmp_path)}
    for own in (1.0, 2.0):
        found = lockstep.start(settings, lambda own=own: {"generator/kernel": np.full(50, own)})
        assert (found["generator/kernel"] == 1).all()
    nudged = lockstep.start({**settings, "nudged": 1e-3}, None)["generator/kernel"]
    assert 0.5e-3 < np.std(nudged) < 2e-3


def test_peers_are_fed_what_a_gan_draws():
    settings = {"seed": 14, "batch_size": 3, "image_size": 32, "latent_dim": 8, "classes": 10}
    fed = parity.inputs(settings, 2)
    assert fed["images"].shape == (3, 3, 32, 32, 3) and fed["images"].dtype == np.float32
    drawn = []

    def kept(value):
        drawn.append(np.array(value))
        return value

    gan = GAN(
        DCGANGenerator(32, num_classes=10, latent_dim=8, width=8),
        DCGANDiscriminator(32, num_classes=10, width=8),
        seed=14,
    )
    gan.compile(
        fake_labels=lambda seeds, _: kept(uniform_labels(seeds, 10)),
        fake_latents=lambda seeds, length: kept(latents.normal(seeds, length)),
        run_eagerly=True,
        ema=None,
    )
    gan.step = 2
    gan.train_on_batch(fed["images"][2], fed["labels"][2])
    names = [f"{who}_{what}" for who in lockstep.NETWORKS[::-1] for what in ("labels", "latents")]
    for name, value in zip(names, drawn, strict=True):
        np.testing.assert_array_equal(fed[name][2], value)


@pytest.mark.parametrize("network", lockstep.NETWORKS)
def test_a_twin_tells_its_weights_by_the_names_of_the_peer(network):
    with np.load(FIXTURE) as fixture:
        shapes = json.loads(str(fixture[network]))
    rng = np.random.default_rng(0)
    start = {f"{network}/{n}": rng.normal(size=s).astype("float32") for n, s in shapes.items()}
    twin = parity_ours.Twin("biggan", network, {**start, "other/weight": np.ones(3)})
    found = twin.weights()
    # Its singular values are for its logs.
    assert set(found) == {name for name in start if not name.endswith(".sv0")}
    for name, value in found.items():
        np.testing.assert_array_equal(value, start[name])
    variable = twin.model.trainable_variables[0]
    variable.assign(variable + 1.0)
    changed = [n for n, value in twin.weights().items() if not np.array_equal(value, start[n])]
    assert len(changed) == 1


@pytest.mark.parametrize("beta_2", [0.9, 0.999])
def test_adam_adds_epsilon_where_pytorch_does(beta_2):
    torch = pytest.importorskip("torch", reason="PyTorch's Adam is compared with")
    import keras

    settings = {"switched": True, "peer": "biggan"}
    optimizer, _ = parity_ours._optimizers(settings, beta_2)
    ours = keras.Variable(np.zeros(4, np.float32))
    theirs = torch.zeros(4, requires_grad=True)
    of_torch = torch.optim.Adam([theirs], 1e-4, betas=(0.0, beta_2), eps=1e-8)
    for step in range(3):
        # As small as epsilon, where it matters.
        gradient = np.array([1e-9, -3e-9, 1e-8, 1e-7], np.float32) * (1 + step)
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [ours])
        theirs.grad = torch.from_numpy(gradient)
        of_torch.step()
    # Squares of 1e-9 are far above the least float32; what is left is rounding of a few operations.
    np.testing.assert_allclose(np.array(ours), theirs.detach().numpy(), rtol=1e-5)


def test_hooks_keep_vectors_and_divide_variances_by_the_count(monkeypatch):
    torch = pytest.importorskip("torch", reason="hooks are laid around its modules")
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    from peers import torch_parity

    class Moving(torch.nn.Linear):
        def forward(self, x):
            self.u = self.u + 1
            return super().forward(x)

    module = Moving(2, 2)
    module.u = torch.zeros(1)
    torch_parity.keep_vectors(module, [module], ["u"], calls=3)
    for expected in (1, 2, 2, 3, 4, 4):
        module(torch.ones(1, 2))
        assert module.u.item() == expected

    norm = torch.nn.BatchNorm2d(3)
    torch_parity.divide_variances_by_count([norm], "running_var")
    x = torch.randn((2, 3, 2, 2), generator=torch.Generator().manual_seed(0))
    norm(x)
    expected = 0.9 + 0.1 * x.var((0, 2, 3), unbiased=False)
    torch.testing.assert_close(norm.running_var, expected)
