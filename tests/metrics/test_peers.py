"""The numbers that torch-fidelity, clean-fid and prdc compute; `record_peers.py` recorded them."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.metrics import drawn
from keras_sagan import metrics

RECORDED = dict(np.load(Path(__file__).parent / "fixtures" / "peers.npz"))
CASES = [
    dict(zip(("seed", "samples", "size", "subset_size"), c.tolist(), strict=True))
    for c in RECORDED["cases"]
]


@pytest.fixture(scope="module", params=range(len(CASES)))
def case(request):
    """What peers computed, by name and peer; the inputs; the subset size."""
    settings = CASES[request.param]
    subset_size = settings["subset_size"]
    theirs = {
        tuple(name.partition("/")[2].split(", ")): float(value)
        for name, value in RECORDED.items()
        if name.startswith(f"{request.param}/")
    }
    inputs = drawn(settings["seed"], settings["samples"], settings["size"])
    return theirs, inputs, subset_size


def agree(theirs, name, peers, ours, tolerance):
    for peer in peers:
        assert ours == pytest.approx(theirs[name, peer], **tolerance), peer


# The tolerances are those that users compare papers by; in float64 the programs agree to 1e-10.
def test_frechet_distance(case):
    theirs, inputs, _ = case
    first, second = metrics.FrechetStatistics(), metrics.FrechetStatistics()
    first.update(inputs["features"])
    second.update(inputs["reference"])
    for distance in (
        metrics.frechet_distance(first, second),
        metrics.frechet_distance(second, first),
    ):
        agree(theirs, "FID", ("torch-fidelity", "clean-fid"), distance, {"rel": 1e-6})


def test_kernel_distance(case):
    theirs, inputs, subset_size = case
    estimate = metrics.kernel_distance(
        inputs["features"], inputs["reference"], subset_size=subset_size
    )
    agree(theirs, "KID", ("torch-fidelity", "clean-fid"), estimate.value, {"abs": 1e-9})
    agree(theirs, "KID spread", ("torch-fidelity",), estimate.spread, {"abs": 1e-9})


def test_inception_score(case):
    theirs, inputs, _ = case
    score = metrics.inception_score(inputs["logits"])
    agree(theirs, "IS", ("torch-fidelity",), score.value, {"rel": 1e-5})
    agree(theirs, "IS deviation", ("torch-fidelity",), score.deviation, {"abs": 1e-6})


def test_precision_recall_density_and_coverage(case):
    theirs, inputs, _ = case
    pair = inputs["features"], inputs["reference"]
    shares = metrics.precision_recall(*pair)
    for name in ("precision", "recall"):
        agree(theirs, name, ("torch-fidelity", "prdc"), getattr(shares, name), {"abs": 1e-5})
    shares = metrics.density_coverage(*pair)
    for name in ("density", "coverage"):
        agree(theirs, name, ("prdc",), getattr(shares, name), {"abs": 1e-5})
