"""Precision against recall at several truncations."""

from keras_sagan.evaluating import pictures
from keras_sagan.files.whole_files import replacing
from keras_sagan.metrics import evaluation

TRUNCATIONS = (0.3, 0.45, 0.6, 0.75, 0.9, 1.0, 1.1, 1.2)


def sweep(run, drawn, extractor, reference, best=False):
    """Returns precision, recall and Frechet distance at each of the truncations.

    Args:
        run: A `Run`.
        drawn: Number of pictures, first seed, and a truncation that is not used.
        extractor: See `keras_sagan.metrics.features`.
        reference: `Reference` with features.
        best: Whether of the best checkpoint.
    """
    samples, seed, _ = drawn
    points = []
    for truncation in TRUNCATIONS:
        judged, _ = pictures.of_run(run, samples, seed, truncation, best)
        names = ["fid", "precision_recall"]
        figures = evaluation.evaluate(judged, extractor, reference, names)["metrics"]
        points.append({"truncation": truncation, **figures})
    return points


def draw(points, path):
    """Draws the points of `sweep` as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([point["recall"] for point in points], [point["precision"] for point in points], "o-")
    for point in points:
        axes.annotate(
            f"{point['truncation']:g}",
            (point["recall"], point["precision"]),
            textcoords="offset points",
            xytext=(5, 5),
        )
    axes.set(xlabel="recall", ylabel="precision", title="by truncation of the latents")
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=110)
