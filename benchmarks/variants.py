"""Variants of a config, each trained with several seeds for equal steps.

    python -m benchmarks.variants --config configs/paired_shapes.yaml --runs runs/variants \\
        --variant attention model.attention=[8] --variant none model.attention=[]

Each run is judged as `keras-sagan evaluate` does, and of paired_shapes by its consistency too. A
row is a variant: the mean of its seeds, and their standard deviation. Runs that are there already
go on, so the same command does after a stop.
"""

import concurrent.futures
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks import contest, machine

ROOT = contest.FOLDER.parent
_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def main():
    """Trains and judges all variants."""
    parser = contest.Parser("variants", __doc__, peers=(), rounds=False)
    parser.add_argument("--config", required=True, metavar="FILE", help="the config")
    parser.add_argument("--data", metavar="DIR", help="as of train.py")
    parser.add_argument("--runs", required=True, type=Path, metavar="DIR", help="folder of runs")
    parser.add_argument(
        "--variant",
        nargs="+",
        action="append",
        required=True,
        dest="variants",
        metavar=("NAME", "KEY=VALUE"),
        help="its name, and what it changes in the config",
    )
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED", help="of the trainings"
    )
    parser.add_argument("--steps", type=contest.positive, help="of each; else the config's")
    parser.add_argument(
        "--together", type=contest.positive, default=1, help="runs at a time, which share the cores"
    )
    parser.add_argument(
        "--samples",
        type=contest.positive,
        default=10_000,  # the standard error of a share is at most 0.005
        help="pictures that a run is judged by",
    )
    options = parser.parse_args()
    names = [name for name, *_ in options.variants]
    if len({*names}) < len(names):
        parser.error(f"--variant {max(names, key=names.count)} is given twice")
    if not Path(options.config).is_file():
        parser.error(f"--config {options.config}: there is no such file")
    jobs = [(variant, seed) for seed in options.seeds for variant in options.variants]
    with concurrent.futures.ThreadPoolExecutor(options.together) as pool:
        try:
            # In this order, so that a stop leaves every variant with about as many seeds.
            rows = list(pool.map(lambda job: trained(*job, options), jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for row in rows:
        row.update(consistency(row.pop("run"), options.samples))
    summaries = [summary(name, [row for row in rows if row["variant"] == name]) for name in names]
    print("\n".join(table(summaries)))
    if options.out is not None:
        about = {"machine": machine.describe(), "together": options.together}
        options.out.write_text(json.dumps({**about, "rows": rows}, indent=2) + "\n")


def trained(variant, seed, options):
    """Trains a variant with a seed, or goes on with it, and judges it.

    Returns:
        A dictionary of the variant's name, the seed, the run folder, the steps, the steps a second
        (median of the rows of history.csv) and the figures.
    """
    name, *changes = variant
    run = options.runs / f"{name}-{seed}"
    if options.steps is not None:
        changes = [*changes, f"train.steps={options.steps}"]
    changes = ["--set", f"train.seed={seed}", "train.max_minutes=null", *changes]
    data = ["--data", options.data] if options.data else []
    given = ["--config", options.config, *data, "--run-dir", run]
    resume = ["--resume"] if (run / "config.yaml").exists() else []
    _run([ROOT / "train.py", *given, *resume, *changes], options.together)
    command = ["-m", "keras_sagan.cli", "evaluate", run, "--samples", options.samples]
    _run(command, options.together)
    from keras_sagan.evaluating import comparing
    from keras_sagan.running.run_folder import Run

    (record,) = comparing.records([Run(run)])
    speeds, steps = (record.history[column] for column in ("steps_per_second", "step"))
    about = {"variant": name, "seed": seed, "run": run, "steps": int(steps[-1])}
    figures = {name: value for name, (value, _) in record.figures.items()}
    return {**about, "steps/s": statistics.median(speeds), **figures}


def consistency(folder, samples):
    """Returns "consistency" of a run of paired_shapes in a dictionary, which else is empty."""
    from keras_sagan.data import paired_shapes
    from keras_sagan.running.run_folder import Run
    from keras_sagan.sampling import sample

    run = Run(folder)
    if run.config().data.name != "paired_shapes":
        return {}
    images = sample(run.load_generator(), range(samples))
    return {"consistency": paired_shapes.consistency(images)}


def _run(arguments, together):
    threads = str(max((os.cpu_count() or 1) // together, 1))
    environment = {**os.environ, **dict.fromkeys(_THREADS, threads)} if together > 1 else None
    command = [sys.executable, *map(str, arguments)]
    process = subprocess.run(command, env=environment, stdout=sys.stderr, cwd=ROOT)
    if process.returncode:
        sys.exit(f"error: {' '.join(command)} ended with {process.returncode}")


def summary(name, rows):
    """Returns a variant's name and, of each number, the mean and the standard deviation."""
    numbers = [key for key in rows[0] if key not in ("variant", "seed")]
    return name, {
        key: (
            statistics.mean(row[key] for row in rows),
            statistics.stdev(row[key] for row in rows) if len(rows) > 1 else 0.0,
        )
        for key in numbers
    }


def table(summaries):
    """Returns the lines of a table of summaries, a variant a column."""
    columns = {name: lambda row, name=name: row["cells"][name] for name, _ in summaries}
    rows = []
    for key in summaries[0][1]:
        pairs = ((name, numbers[key]) for name, numbers in summaries)
        cells = {name: f"{mean:.4g} +- {spread:.2g}" for name, (mean, spread) in pairs}
        rows.append({"name": key, "cells": cells})
    return list(contest.table(rows, columns))


if __name__ == "__main__":
    main()
