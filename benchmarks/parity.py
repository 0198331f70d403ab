"""The same training as a peer's: python -m benchmarks.parity --peer NAME=CLONE.

Ours imports the peer's own weights, spectral vectors converged, and both are fed the same images,
labels and latents, a step a round. The latents and labels are those that `GAN` draws by itself.
After every step losses, logits and all weights are compared with the peer in float64, which stands
for exact arithmetic. Its distance from the peer's own float32 is what rounding comes to:

  float32       the peer in float32
  reordered     the same, each batch turned round, so that sums are taken in another order
  nudged        in float64, its weights at the start changed by 1e-6 of themselves

In these the peer does as ours in what ours has no option for, by hooks around its unmodified code;
"as written" is without them, "but for ..." without one of them, both in float64. "ours" has the
options set that make it the peer's training, and "ours, not switched" has the defaults.
docs/parity.md says what they are. The exit code is 1 if ours is further from float64 than three
times the peer itself, in the median over the steps, by losses, logits or weights.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import contest, divergence, lockstep

OURS = contest.FOLDER / "parity_ours.py"
SEED = 14
# Small where the width is free. The peer of a fixed width has it.
PRESETS = {
    "heykeetae": {
        "family": "dcgan", "image_size": 64, "width": 64, "batch_size": 4, "latent_dim": 128,
        "classes": None, "attention": None,
    },
    "biggan": {
        "family": "resnet", "image_size": 128, "width": 8, "batch_size": 4, "latent_dim": 128,
        "classes": 10, "attention": [64],
    },
    "official": {
        "family": "resnet", "image_size": 128, "width": 8, "batch_size": 8, "latent_dim": 128,
        "classes": 10, "attention": [32],
    },
}  # fmt: skip
# What ours does otherwise and has no option for, by the names that `peers/*.py` know.
AS_OURS = {
    "heykeetae": ("u", "gradient", "variance"),
    "biggan": ("u", "variance"),
    "official": ("read",),
}
OWN = ("float32", "reordered", "nudged")
REFERENCE = "float64"
BOUND = 3.0
SHOWN = (1, 2, 3, 5, 10, 20, 30, 40, 50)


def main():
    """Runs the benchmark."""
    parser = contest.Parser("parity", __doc__, peers=tuple(PRESETS))
    parser.set_defaults(rounds=50)
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="where to draw parity_NAME.png")
    options = parser.parse_args()
    if not options.peers:
        parser.error("--peer NAME=CLONE is needed")
    if options.plot is not None and not options.plot.is_dir():
        parser.error(f"--plot {options.plot}: there is no such folder")
    rows, steps = [], {}
    for peer in options.peers:
        try:
            runs = followed(options, peer)
        except RuntimeError as error:
            rows.append({"name": peer, "error": str(error)})
            continue
        for line in contest.table(by_step(runs), STEP_COLUMNS):
            print(line)
        print()
        rows += summary(peer, runs)
        steps[peer] = runs
        if options.plot is not None:
            draw(peer, runs, options.plot / f"parity_{peer}.png")
    code = contest.report(parser, options, rows, COLUMNS, presets=PRESETS, steps=steps)
    return code or int(any(row.get("verdict") == "beyond" for row in rows))


def inputs(settings, steps):
    """Returns what each step is fed, by name; the first axis is the step, from 0 on.

    Images are those of the built-in set, enlarged, with noise: equal patches would put many
    units on the edge of their activation at once. Fakes' labels and latents are those that a
    `GAN` with the seed and `fake_labels="uniform"` draws.
    """
    from keras import ops

    from keras_sagan.adversarial.fakes import uniform_labels
    from keras_sagan.data import paired_shapes
    from keras_sagan.sampling import draws, latents

    batch, scale = settings["batch_size"], settings["image_size"] // paired_shapes.IMAGE_SIZE
    found = {"images": [], "labels": []}
    for step in range(steps + 1):
        rng = np.random.default_rng([settings["seed"], step])
        images, labels = paired_shapes.draw(rng, batch)
        images = images.repeat(scale, axis=1).repeat(scale, axis=2) / 127.5 - 1.0
        images = np.clip(images + rng.normal(0.0, 0.1, images.shape), -1.0, 1.0)
        found["images"].append(images.astype(np.float32))
        found["labels"].append(labels)
        for update, name in (("discriminator", "discriminator0"), ("generator", "generator")):
            seeds = [
                draws.seeds(settings["seed"], step, f"{name}/{what}", batch)
                for what in ("labels", "latents")
            ]
            values = {
                "labels": uniform_labels(seeds[0], settings["classes"] or 1),
                "latents": latents.normal(seeds[1], settings["latent_dim"]),
            }
            for what, value in values.items():
                found.setdefault(f"{update}_{what}", []).append(ops.convert_to_numpy(value))
    return {name: np.stack(values) for name, values in found.items()}


def entrants(options, peer, settings):
    """Returns the processes by run."""
    all_of_them = AS_OURS[peer]
    runs = {
        "float32": {"precision": "float32"},
        "reordered": {"precision": "float32", "reordered": True},
        "nudged": {"nudged": 1e-6},
        REFERENCE: {},
        "as written": {"as_ours": ()},
    }
    if len(all_of_them) > 1:
        for name in all_of_them:
            others = [other for other in all_of_them if other != name]
            runs[f"but for {name}"] = {"as_ours": others}
    script = contest.FOLDER / "peers" / f"{peer}.py"
    defaults = {"precision": "float64", "as_ours": all_of_them, "clone": options.peers[peer]}
    found = {
        run: contest.Contestant(
            f"{peer} {run}",
            script,
            {**settings, **defaults, "run": run, **told},
            options.peer_python,
        )
        for run, told in runs.items()
    }
    for run, switched in (("ours", True), ("ours, not switched", False)):
        found[run] = contest.Contestant(run, OURS, {**settings, "run": run, "switched": switched})
    return found


def followed(options, peer):
    """Lets all runs take their steps together.

    Returns:
        By run, a list of the steps: losses, and distances from the reference.

    Raises:
        RuntimeError: A process ended.
    """
    from keras_sagan.cli.quiet import start_backend

    start_backend()
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = {**PRESETS[peer], "task": "parity", "peer": peer, "seed": SEED}
        settings |= {"folder": folder, "warmup": 0}
        np.savez(Path(folder) / lockstep.INPUTS, **inputs(settings, options.rounds))
        players = entrants(options, peer, settings)
        with contest.playing(list(players.values())) as playing:
            for step in range(options.rounds + 1):
                for player in playing:
                    player.take_turn(1)
                    if "error" in (row := player.row()):
                        raise RuntimeError(f"{row['name']}: {row['error']}")
                records = {run: lockstep.taken(folder, run, step) for run in players}
                if step == 0:
                    start = records[REFERENCE]
                    continue
                for run, record in records.items():
                    found = divergence.distances(record, records[REFERENCE], start)
                    found |= {name: float(record[name]) for name in lockstep.LOSSES}
                    runs.setdefault(run, []).append(found)
                print(f"step {step} of {options.rounds}", file=sys.stderr, flush=True)
    return runs


def by_step(runs):
    """Returns a row for each step that is shown."""
    steps = zip(runs["ours"], runs["float32"], runs["reordered"], strict=True)
    return [
        {"name": f"step {number}", "ours": ours, "float32": float32, "reordered": reordered}
        for number, (ours, float32, reordered) in enumerate(steps, start=1)
        if number in SHOWN
    ]


def summary(peer, runs):
    """Returns a row for each run: its distances after the last step, and ours against its own."""
    rows = [
        {"name": f"{peer} {run}", **steps[-1]} for run, steps in runs.items() if run != REFERENCE
    ]
    times = divergence.times_own(runs["ours"], [runs[run] for run in OWN])
    (ours,) = (row for row in rows if row["name"] == f"{peer} ours")
    ours["times_own"] = {name: statistics.median(values) for name, values in times.items()}
    judged = ("losses", "logits", "weights")
    beyond = any(ours["times_own"][name] > BOUND for name in judged)
    ours["verdict"] = "beyond" if beyond else "rounding"
    return rows


def _column(measure):
    return lambda row: f"{row[measure]:.1e}"


def _pair(measure, form):
    return lambda row: " ".join(format(row[run][measure], form) for run in ("float32", "ours"))


STEP_COLUMNS = {
    "loss of D: peer, ours": _pair("discriminator_loss", ".6f"),
    "of G: peer, ours": _pair("generator_loss", ".6f"),
    **{
        f"{measure.replace('_', ' ')}: peer, ours": _pair(measure, ".0e")
        for measure in divergence.MEASURES
    },
}
COLUMNS = {
    **{measure.replace("_", " "): _column(measure) for measure in divergence.MEASURES},
    "times the peer's own": lambda row: (
        " ".join(f"{value:.1f}" for value in row["times_own"].values()) if "verdict" in row else ""
    ),
    "beyond rounding?": lambda row: row.get("verdict", ""),
}


def draw(peer, runs, path):
    """Draws the losses of both, and the distances of all runs from float64."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 3, figsize=(10.5, 3.3))
    numbers = range(1, len(runs["ours"]) + 1)
    for loss, color in zip(lockstep.LOSSES, ("tab:blue", "tab:orange"), strict=True):
        label = loss.replace("_", " ")
        peers, ours = ([step[loss] for step in runs[run]] for run in (REFERENCE, "ours"))
        panels[0].plot(numbers, peers, color=color, label=f"{label}, {peer}")
        panels[0].plot(numbers, ours, "o", color=color, markersize=3, label=f"{label}, ours")
    for panel, measure in zip(panels[1:], ("logits", "updates"), strict=True):
        for run in (*OWN, "ours", "as written", "ours, not switched"):
            style = {"ours": "k-", "as written": "--", "ours, not switched": ":"}.get(run, "-")
            panel.plot(numbers, [step[measure] for step in runs[run]], style, label=run)
        # What a peer's code does as ours of itself is at 1e-15, and no line.
        panel.set(yscale="log", ylim=(1e-7, None))
        panel.set_title(f"{measure}: distance from {peer} in float64", fontsize=10)
    panels[0].set(title="losses")
    for panel in panels:
        panel.set_xlabel("step")
        panel.legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(path, dpi=64)


if __name__ == "__main__":
    sys.exit(main())
