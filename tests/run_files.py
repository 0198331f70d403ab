"""Reads what a run leaves in its folder."""

import csv

import numpy as np

from keras_sagan.running.run_folder import Run


def weights(run_dir, step):
    """All that a checkpoint holds, by path."""
    import h5py

    found = {}
    with h5py.File(Run(run_dir).checkpoint(step) / "gan.weights.h5") as file:
        file.visititems(
            lambda name, item: (
                found.update({name: np.array(item)}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def rows(run_dir):
    with (run_dir / "logs" / "history.csv").open() as file:
        return list(csv.DictReader(file))
