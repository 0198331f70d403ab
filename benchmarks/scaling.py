"""How the training step grows: python -m benchmarks.scaling --curves FILE.png.

Time and peak memory of our step against the size of the pictures, the size of the map that attends,
the batch and the width, one at a time, each point in a process of its own.
"""

import sys
from pathlib import Path

from benchmarks import contest

BASE = {
    "family": "resnet", "image_size": 64, "width": 32, "batch_size": 16, "latent_dim": 128,
    "classes": None, "attention": [32],
}  # fmt: skip
AXES = {
    "image size": [{"image_size": size, "attention": [16]} for size in (32, 64, 128, 256)],
    "attention size": [
        {"attention": [size], "image_size": 256, "batch_size": 4} for size in (16, 32, 64, 128)
    ],
    "batch": [{"batch_size": size} for size in (4, 8, 16, 32, 64)],
    "width": [{"width": width} for width in (16, 32, 64, 128)],
}


def main():
    """Runs the benchmark."""
    parser = contest.Parser("scaling", __doc__, peers=())
    parser.add_argument("--axis", choices=AXES, nargs="+", default=list(AXES))
    parser.add_argument("--curves", type=Path, metavar="FILE.png", help="curves of the table")
    contest.add_precision(parser)
    options = parser.parse_args()
    options.peers = {}
    if options.curves is not None and not options.curves.resolve().parent.is_dir():
        parser.error(f"--curves {options.curves}: there is no folder {options.curves.parent}")
    rows = []
    for precision in options.precision:
        for axis in options.axis:
            for changes in AXES[axis]:
                settings = {**BASE, **changes, "task": "train_step"}
                value = next(iter(changes.values()))
                value = value[0] if isinstance(value, list) else value
                (entrant,) = contest.contestants(options, settings, precision)
                entrant.name = f"{axis} {value} {precision}"
                (row,) = contest.contest([entrant], options.rounds)
                rows.append({**row, "axis": axis, "value": value})
    columns = {name: text for name, text in contest.COLUMNS.items() if name != "times ours"}
    code = contest.report(parser, options, rows, columns, base=BASE)
    if options.curves is not None:
        draw(rows, options.curves)
    return code


def draw(rows, path):
    """Draws time and memory against each axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    axes = list(dict.fromkeys(row["axis"] for row in rows))
    figure, panels = pyplot.subplots(2, len(axes), figsize=(4 * len(axes), 6), squeeze=False)
    for column, axis in enumerate(axes):
        for panel, number, label in (
            (panels[0, column], lambda row: row["seconds"], "seconds a step"),
            (panels[1, column], lambda row: row["peak_bytes"] / 1e9, "peak GB"),
        ):
            for precision in dict.fromkeys(row["settings"]["precision"] for row in rows):
                points = [
                    (row["value"], number(row))
                    for row in rows
                    if row["axis"] == axis
                    and row["settings"]["precision"] == precision
                    and "error" not in row
                ]
                panel.plot(*zip(*points, strict=True), marker="o", label=precision)
            panel.set(xscale="log", ylim=(0, None), xlabel=axis, ylabel=label)
            panel.set_xticks([point[0] for point in points], [str(point[0]) for point in points])
            panel.minorticks_off()
            panel.legend(loc="lower right")  # the curves start above
    figure.tight_layout()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    sys.exit(main())
