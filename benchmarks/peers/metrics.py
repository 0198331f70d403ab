"""Metrics by torch-fidelity, clean-fid, prdc and keras-sagan, as contestants (see `take_turns.py`).

PyTorch, SciPy and the three packages are what the peers need. Features and logits are in float64,
so that what differs is how a metric is computed and not in which precision.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

SEED = 2020  # of subsets and of shuffling: what torch-fidelity takes by itself


def prepare(settings):
    """Returns the task, and under "values" what it computes, by name.

    Settings: "program" and "metric", keys of `PROGRAMS`; "folder" with `features.npy`,
    `reference.npy` and `logits.npy`; "subset_size", of the kernel distance.
    """
    inputs = {
        name: np.load(Path(settings["folder"]) / f"{name}.npy")
        for name in ("features", "reference", "logits")
    }
    metric = PROGRAMS[settings["program"]](settings)[settings["metric"]]

    def compute():
        return metric(**inputs)

    return {"task": compute, "values": compute()}


def keras_sagan(settings):
    """Ours, each as a function of (samples, size) arrays."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from keras_sagan import metrics

    def fid(features, reference, logits):
        statistics = metrics.FrechetStatistics(), metrics.FrechetStatistics()
        for one, rows in zip(statistics, (features, reference), strict=True):
            for start in range(0, len(rows), 500):
                one.update(rows[start : start + 500])
        return {"FID": metrics.frechet_distance(*statistics)}

    def kid(features, reference, logits):
        size = settings["subset_size"]
        estimate = metrics.kernel_distance(features, reference, subset_size=size, seed=SEED)
        return {"KID": estimate.value, "KID spread": estimate.spread}

    def inception(features, reference, logits):
        value, deviation = metrics.inception_score(logits, seed=SEED)
        return {"IS": value, "IS deviation": deviation}

    def precision(features, reference, logits):
        return metrics.precision_recall(features, reference, k=3)._asdict()

    def density(features, reference, logits):
        return metrics.density_coverage(features, reference, k=5)._asdict()

    return {
        "fid": fid,
        "kid": kid,
        "is": inception,
        "precision": precision,
        "density": density,
    }


def torch_fidelity(settings):
    """Its functions of features; `input1` are the samples, `input2` the reference."""
    import torch
    import torch_tools

    torch_tools.stand_in(*TORCHVISION)
    from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

    def pair(features, reference):
        return torch.from_numpy(features), torch.from_numpy(reference)

    def fid(features, reference, logits):
        both = map(metric_fid.fid_features_to_statistics, pair(features, reference))
        found = metric_fid.fid_statistics_to_metric(*both, verbose=False)
        return {"FID": found["frechet_inception_distance"]}

    def kid(features, reference, logits):
        size = settings["subset_size"]
        found = metric_kid.kid_features_to_metric(
            *pair(features, reference), kid_subset_size=size, rng_seed=SEED, verbose=False
        )
        return {
            "KID": found["kernel_inception_distance_mean"],
            "KID spread": found["kernel_inception_distance_std"],
        }

    def inception(features, reference, logits):
        found = metric_isc.isc_features_to_metric(torch.from_numpy(logits), rng_seed=SEED)
        return {"IS": found["inception_score_mean"], "IS deviation": found["inception_score_std"]}

    def precision(features, reference, logits):
        found = metric_prc.prc_features_to_metric(
            *pair(features, reference), prc_neighborhood=3, verbose=False
        )
        return {name: found[name] for name in ("precision", "recall")}

    return {"fid": fid, "kid": kid, "is": inception, "precision": precision}


def clean_fid(settings):
    """Its functions of features; the subsets of its KID are NumPy's global ones."""
    import torch_tools

    torch_tools.stand_in(*TORCHVISION)
    from cleanfid import fid as theirs

    def fid(features, reference, logits):
        both = []
        for rows in (features, reference):
            both += [rows.mean(axis=0), np.cov(rows, rowvar=False)]
        return {"FID": float(theirs.frechet_distance(*both))}

    def kid(features, reference, logits):
        np.random.seed(SEED)
        size = settings["subset_size"]
        return {"KID": theirs.kernel_distance(reference, features, max_subset_size=size)}

    return {"fid": fid, "kid": kid}


def prdc(settings):
    """Its one function, with the k of either paper."""
    from prdc import compute_prdc

    def chosen(k, names):
        def metric(features, reference, logits):
            found = compute_prdc(reference, features, nearest_k=k)
            return {name: float(found[name]) for name in names}

        return metric

    return {
        "precision": chosen(3, ("precision", "recall")),
        "density": chosen(5, ("density", "coverage")),
    }


PROGRAMS = {
    "keras-sagan": keras_sagan,
    "torch-fidelity": torch_fidelity,
    "clean-fid": clean_fid,
    "prdc": prdc,
}
# What the peers import of it is for pictures, and is not called here.
TORCHVISION = (
    "torchvision",
    "torchvision.datasets",
    "torchvision.transforms",
    "torchvision.transforms.functional",
    "torchvision.models",
    "torchvision.models.inception",
)

if __name__ == "__main__":
    from take_turns import take_turns

    take_turns(prepare)
