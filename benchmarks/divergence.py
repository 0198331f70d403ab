"""How far apart two runs of one training are: arithmetic on what `lockstep.py` writes."""

import numpy as np

from benchmarks import lockstep

# What `distances` gives, in the order of tables.
MEASURES = ("losses", "logits", "weights_worst", "weights", "updates")
# A tensor that moved less (root mean square over its numbers) is not compared: a tenth of the first
# step of Adam at the generator's rate. Where the exact gradient is 0, as of biases that a batch
# norm takes off again, Adam makes steps of what rounding leaves, in float32 and not in float64.
LEAST_WAY = 1e-5


def distances(record, reference, start):
    """Returns how far a run is from another after the same step, by `MEASURES`.

    Losses are relative to the larger of the loss and 1, the hinge's margin; the worse of the two.
    Logits are relative to the norm of all logits of the step. Of weights it is the norm of the
    difference relative to that of the tensor, the worst and the median over the tensors; of updates
    relative to the way that the tensor went since the start, the median.

    Args:
        record: What the run wrote.
        reference: What the other one wrote, in float64.
        start: The reference's weights at the start.
    """
    losses = (
        abs(float(record[name]) - float(reference[name])) / max(abs(float(reference[name])), 1.0)
        for name in lockstep.LOSSES
    )
    logits, of_reference = (
        np.concatenate([each[name] for name in lockstep.LOGITS]) for each in (record, reference)
    )
    weights, updates = [], []
    for name in moved(record, reference, start):
        apart = np.linalg.norm(record[name].astype(np.float64) - reference[name])
        weights.append(apart / np.linalg.norm(reference[name]))
        updates.append(apart / np.linalg.norm(reference[name] - start[name]))
    values = (
        max(losses),
        np.linalg.norm(logits - of_reference) / np.linalg.norm(of_reference),
        max(weights),
        np.median(weights),
        np.median(updates),
    )
    return dict(zip(MEASURES, map(float, values), strict=True))


def moved(record, reference, start):
    """Returns the names of the tensors of both runs that moved in the reference."""
    return [
        name
        for name, value in reference.items()
        if name in record
        and "/" in name
        and np.sqrt(np.mean(np.square(value - start[name]))) > LEAST_WAY
    ]


def times_own(ours, own):
    """Returns, by measure, how far ours is in units of the peer's own distances, step by step.

    Args:
        ours: Distances by step.
        own: The same of each run that differs from the reference by rounding alone. The unit is
            the largest of them so far.
    """
    found = {}
    for measure in MEASURES:
        largest = np.max([[step[measure] for step in run] for run in own], axis=0)
        unit = np.maximum.accumulate(largest)
        found[measure] = [step[measure] / u for step, u in zip(ours, unit, strict=True)]
    return found
