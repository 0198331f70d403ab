"""Runs side by side: a table of figures, and curves."""

import csv
import json
import math
from dataclasses import dataclass

import numpy as np

from keras_sagan.errors import InputError
from keras_sagan.files.whole_files import replacing

_SPEEDS = ("steps_per_second", "images_per_second")
_DPI = 110
_STYLES = (
    "-",
    "--",
    ":",
    "-.",
    (0, (6, 1, 1, 1, 1, 1)),
    (0, (8, 3)),
    (0, (1, 3)),
    (0, (3, 3, 1, 3)),
)
_EVALUATED = " (evaluation)"
# By the ending of a name.
_KINDS = {"_loss": "losses", "_logits": "logits", "_gamma": "gammas", _EVALUATED: "evaluated"}
_PROGRESS = ("steps", "images seen", "minutes of steps", "steps a second (median)")
_ORDER = ("progress", "losses", "logits", "gammas", "quality", "evaluated")  # of the table
# Of an evaluation's protocol: what is of each run by itself, and no reason not to compare.
_OF_RUN = {"run", "checkpoint", "generator_sha256", "ema", "file", "sha256", "folder"}


@dataclass
class Record:
    """What a run left behind.

    Attributes:
        name: What it is called in the table.
        history: Columns of `history.csv` by name, each (rows,) float; NaN where a place is empty.
        images: Pictures a step.
        figures: Those of `evaluation.json`: (value, error or None) by name.
        protocol: That of `evaluation.json`, or None.
    """

    name: str
    history: dict
    images: int
    figures: dict
    protocol: dict | None


def records(runs):
    """Reads runs.

    Args:
        runs: `Run`s.

    Returns:
        A `Record` of each.

    Raises:
        InputError: A folder that holds no run, or a run that has no history, or a damaged one.
    """
    names = [run.name for run in runs]
    if len({*names}) < len(names):  # which the folders above tell apart
        names = [str(run.path) for run in runs]
    found = []
    for name, run in zip(names, runs, strict=True):
        train = run.config().train
        images = train.batch_size * train.discriminator_steps
        found.append(Record(name, _history(run), images, *_evaluation(run)))
    return found


def _history(run):
    if not run.history.exists():
        raise InputError(f"{run.path} has no history yet ({run.history} is missing)")
    try:
        with run.history.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            # A row that lacks values was cut off, where its disk was full or its machine died.
            rows = [row for row in reader if None not in row.values() and None not in row]
            names = reader.fieldnames or ()
        columns = {name: np.array([float(row[name] or math.nan) for row in rows]) for name in names}
    except (ValueError, OSError, csv.Error) as error:
        raise InputError(f"{run.history} is damaged ({error})") from error
    if not rows or "step" not in columns:
        raise InputError(f"{run.path} has no history yet ({run.history} has no rows)")
    return columns


def _evaluation(run):
    """The figures of evaluation.json and its protocol; without one none."""
    path = run.evaluation
    if not path.exists():
        return {}, None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        figures = {name: _figure(value) for name, value in content["metrics"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise InputError(f"{path} is damaged: evaluate {run.path} again") from error
    return figures, content.get("protocol")


def _figure(value):
    """A figure and its error, from a number or a dictionary of "value" and maybe its error."""
    if not isinstance(value, dict):
        return float(value), None
    errors = [other for name, other in value.items() if name != "value"]
    return float(value["value"]), float(errors[0]) if errors else None


def table(found):
    """Returns the lines of a table, a run a column.

    Losses and the like are the last of the history. Figures with "(evaluation)" are of
    `evaluation.json`; a line warns where these were not had in the same way.

    Args:
        found: `Record`s.
    """
    columns = [_cells(record) for record in found]
    labels = list(dict.fromkeys(label for cells in columns for label in cells))
    labels.sort(key=lambda label: _ORDER.index(_kind(label)))
    rows = [["", *(record.name for record in found)]]
    rows += [[label, *(cells.get(label, "-") for cells in columns)] for label in labels]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    protocols = [_comparable(r.protocol) for r in found if r.protocol is not None]
    keys = dict.fromkeys(key for protocol in protocols for key in protocol)
    differing = [
        key
        for key in keys
        if len({json.dumps(protocol.get(key), sort_keys=True) for protocol in protocols}) > 1
    ]
    if differing:
        more = f" and {len(differing) - 4} more" * (len(differing) > 4)
        lines.append(
            "warning: figures of evaluation.json do not compare, for these differ: "
            f"{', '.join(differing[:4])}{more}"
        )
    return lines


def _kind(name):
    """What a column or a row of the table is about."""
    for ending, kind in _KINDS.items():
        if name.endswith(ending):
            return kind
    return "progress" if name in _PROGRESS else "quality"


def _cells(record):
    """The cells of a run's column by their label."""
    history = record.history
    steps = history["step"]
    cells = dict.fromkeys(_PROGRESS, "-")
    cells["steps"] = f"{steps[-1]:.0f}"
    cells["images seen"] = f"{steps[-1] * record.images:.3g}"
    speed = history.get("steps_per_second")
    if speed is not None:
        with np.errstate(divide="ignore"):
            seconds = np.nansum(np.diff(steps, prepend=0) / speed)
        cells["minutes of steps"] = f"{seconds / 60:.1f}"
        cells["steps a second (median)"] = f"{np.nanmedian(speed):.3g}"
    for name, values in history.items():
        if name != "step" and name not in _SPEEDS:
            there = values[~np.isnan(values)]
            cells[name] = f"{there[-1]:.4g}" if len(there) else "-"
    for name, (value, error) in record.figures.items():
        more = "" if error is None else f" ± {error:.2g}"
        cells[f"{name}{_EVALUATED}"] = f"{value:.4g}{more}"
    return cells


def _comparable(protocol, where=""):
    """The entries of a protocol by their dotted names, without those of one run alone."""
    entries = {}
    for key, value in protocol.items() if isinstance(protocol, dict) else ():
        if where.startswith("pictures") and key in _OF_RUN:
            continue
        if isinstance(value, dict):
            entries |= _comparable(value, f"{where}{key}.")
        else:
            entries[f"{where}{key}"] = value
    return entries


def draw(found, path):
    """Draws curves of losses, logits, gammas and figures of quality as a PNG.

    Args:
        found: `Record`s.
        path: The file, which is replaced.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    panels = _panels(found)
    across = min(len(panels), 3)
    down = -(-len(panels) // across)
    figure = Figure(figsize=(4.6 * across, 3.1 * down + 0.5), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, (title, names) in zip(grid, panels.items(), strict=False):
        _draw_panel(axes, title, names, found)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    lines = [Line2D([], [], color=f"C{i}", linewidth=2) for i in range(len(found))]
    labels = [record.name for record in found]
    figure.legend(lines, labels, loc="outside upper center", ncols=min(len(found), 4))
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=_DPI)


def _panels(found):
    """Names of columns by the title of their panel."""
    panels = {"losses": [], "logits": [], "gammas": []}
    for name in dict.fromkeys(name for record in found for name in record.history):
        if name != "step" and name not in _SPEEDS:
            kind = _kind(name)
            panels.setdefault(name if kind == "quality" else kind, []).append(name)
    return {title: names for title, names in panels.items() if names}


def _draw_panel(axes, title, names, found):
    from matplotlib.lines import Line2D

    for i, record in enumerate(found):
        for j, name in enumerate(names):
            if name not in record.history:
                continue
            there = ~np.isnan(record.history[name])
            x, y = record.history["step"][there], record.history[name][there]
            style, marker = _STYLES[j % len(_STYLES)], "." if there.sum() < 3 else None
            axes.plot(x, y, color=f"C{i}", linestyle=style, marker=marker, linewidth=1.2)
    last = max(record.history["step"][-1] for record in found)
    axes.set(title=title.replace("_", " "), xlabel="step", xlim=(0, 1.02 * last))
    if names != [title]:
        styles = [
            Line2D([], [], color="0.3", linestyle=_STYLES[j % len(_STYLES)])
            for j in range(len(names))
        ]
        axes.legend(styles, [_short(name) for name in names], fontsize=7)


def _short(name):
    for ending in _KINDS:
        name = name.removesuffix(ending)
    return name.replace("_", " ")
