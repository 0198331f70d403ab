"""Records what torch-fidelity, clean-fid and prdc compute of features that are drawn from a seed.

    python tests/metrics/record_peers.py PEER_PYTHON   # in the clone

writes `fixtures/peers.npz`: for each case its seed, samples, size and subset size, and the numbers
by their names in `benchmarks.metrics`.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks import metrics

FIXTURE = Path(__file__).parent / "fixtures" / "peers.npz"
CASES = ((0, 600, 24, 200), (1, 700, 64, 700))


def main():
    """Records all cases."""
    recorded = {"cases": np.array(CASES)}
    for case, (seed, samples, size, subset_size) in enumerate(CASES):
        inputs = metrics.drawn(seed, samples, size)
        for row in metrics.compare(inputs, sys.argv[1], 1, subset_size=subset_size):
            recorded[f"{case}/{row['name']}"] = np.float64(row["theirs"])
    np.savez(FIXTURE, **recorded)


if __name__ == "__main__":
    main()
