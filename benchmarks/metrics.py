"""Metrics against the published programs: python -m benchmarks.metrics --peer-python PATH.

FID, KID, Inception Score, precision and recall (k = 3), density and coverage (k = 5) of the same
features by torch-fidelity, clean-fid and prdc, which `pip install torch-fidelity clean-fid prdc`
puts into an environment of theirs, and by ours. Features are drawn from a seed: of two sets, of
unequal variances, neighbours correlated. All compute in float64. The difference is relative for
FID and IS, absolute for the others, which are shares or near zero. Seconds are those of both
numbers where a metric has two.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import contest

SCRIPT = contest.FOLDER / "peers" / "metrics.py"
OURS = "keras-sagan"
PEERS = {
    "fid": ("torch-fidelity", "clean-fid"),
    "kid": ("torch-fidelity", "clean-fid"),
    "is": ("torch-fidelity",),
    "precision": ("torch-fidelity", "prdc"),
    "density": ("prdc",),
}
RELATIVE = ("FID", "IS")
CLASSES = 10
COLUMNS = {
    "ours": lambda row: f"{row['ours']:.9g}",
    "theirs": lambda row: f"{row['theirs']:.9g}",
    "difference": lambda row: f"{row['difference']:.1e}",
    "s, ours": lambda row: f"{row['seconds_ours']:.3g}",
    "s, theirs": lambda row: f"{row['seconds']:.3g}",
}


def drawn(seed, samples, size):
    """Returns features of samples and of a reference, (samples, size), and logits, in float64.

    By NumPy's older generator, whose numbers do not change, and without sums whose order might.
    """
    random = np.random.RandomState(seed)
    scale = (1 + np.arange(size) / 8) ** -1.0
    sets = []
    for spread, shift in ((0.9, 0.4), (1.0, 0.5)):
        noise = random.standard_normal((samples, size))
        mixed = noise + np.roll(noise, 1, axis=1) / 2
        sets.append(scale * np.maximum(0, shift + spread * mixed))
    logits = 2 * random.standard_normal((samples, CLASSES))
    return {"features": sets[0], "reference": sets[1], "logits": logits}


def compare(inputs, peer_python, rounds, metrics=tuple(PEERS), subset_size=1000):
    """Lets the programs compute metrics of what `drawn` gave.

    Returns:
        A row for each number of each peer: "name", "ours", "theirs", "difference", and the seconds
        of both; or the error of the one that has none.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, array in inputs.items():
            np.save(Path(folder) / f"{name}.npy", array)
        for metric in metrics:
            entrants = []
            for program in (OURS, *PEERS[metric]):
                told = {"program": program, "metric": metric, "folder": folder, "warmup": 0}
                told["subset_size"] = min(subset_size, len(inputs["features"]))
                python = sys.executable if program == OURS else peer_python
                entrants.append(contest.Contestant(program, SCRIPT, told, python))
            ours, *theirs = contest.contest(entrants, rounds)
            for row in theirs:
                rows += numbers(ours, row, metric)
    return rows


def numbers(ours, row, metric):
    """Yields a row for each number that a peer has in common with ours."""
    error = ours.get("error", row.get("error"))
    if error:
        yield {**row, "name": f"{metric}, {row['name']}", "error": error}
        return
    for name, theirs in row["values"].items():
        own = ours["values"][name]
        yield {
            **row,
            "name": f"{name}, {row['name']}",
            "ours": own,
            "theirs": theirs,
            "difference": abs(own - theirs) / (abs(theirs) if name in RELATIVE else 1),
            "seconds_ours": ours["seconds"],
        }


def main():
    """Runs the benchmark."""
    parser = contest.Parser("metrics", __doc__, peers=())
    parser.set_defaults(rounds=1)
    parser.add_argument(
        "--peer-python",
        metavar="PATH",
        required=True,
        help="the Python of the peers' environment",
    )
    parser.add_argument("--samples", type=contest.positive, default=5000, help="in each set")
    parser.add_argument("--size", type=contest.positive, default=2048, help="of the features")
    parser.add_argument("--seed", type=int, default=0, help="that they are drawn from")
    parser.add_argument(
        "--metrics", nargs="+", choices=PEERS, default=list(PEERS), help="all unless given"
    )
    options = parser.parse_args()
    if options.samples < 20:
        parser.error(f"--samples {options.samples}: ten splits of two samples need 20")
    inputs = drawn(options.seed, options.samples, options.size)
    rows = compare(inputs, options.peer_python, options.rounds, options.metrics)
    return contest.report(parser, options, rows, COLUMNS)


if __name__ == "__main__":
    sys.exit(main())
