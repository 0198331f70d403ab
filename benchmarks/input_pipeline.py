"""Batches from a folder of JPEG files against the step: python -m benchmarks.input_pipeline.

Shuffled, cropped, resized and flipped batches as training gets them, decoded each time and from a
cache (`data.cache`), and beside them the training step that they must keep up with, in turns.
Without `--folder` 2,000 pictures of 218x178, the size of CelebA's, are made for it, each ten times
over, so that the processor's own memory does not hold them all. There is no `--peer`: the pipelines
of the peers are torchvision's.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks import contest, train_step

COLUMNS = {
    "seconds a batch": lambda row: f"{row['seconds']:.4g}",
    "images/s": lambda row: f"{row['settings']['batch_size'] / row['seconds']:.4g}",
    "times the pipeline": lambda row: f"{row['ratio']:.2f}" if "ratio" in row else "",
    "peak GB": lambda row: f"{row['peak_bytes'] / 1e9:.2f}",
}
_PICTURES, _TIMES = 2000, 10


def main():
    """Runs the benchmark."""
    parser = contest.Parser("input_pipeline", __doc__, peers=())
    parser.add_argument("--folder", type=Path, metavar="DIR", help="pictures, as for training")
    parser.add_argument(
        "--batches",
        type=contest.positive,
        default=20,
        help="steps a turn; batches are read 5 times, from the cache 200 times as many",
    )
    train_step.add_settings(parser)
    options = parser.parse_args()
    options.peers = {}
    if options.folder is not None and not options.folder.is_dir():
        parser.error(f"--folder {options.folder} is not a folder")
    settings = train_step.settings_of(options)
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or make_pictures(Path(made))
        shared = {**settings, "task": "input_pipeline", "folder": str(folder.resolve())}
        entrants = []
        for name, more in {
            "pipeline": {"batches": 5},
            "pipeline from a cache": {"batches": 200, "cache": str(Path(made) / "cache")},
        }.items():
            (pipeline,) = contest.contestants(options, {**shared, **more}, "float32")
            pipeline.name = name
            entrants.append(pipeline)
        for precision in options.precision:
            told = {**settings, "task": "train_step"}
            (step,) = contest.contestants(options, told, precision)
            step.name = f"training step {precision}"
            entrants.append(step)
        rows = contest.contest(entrants, options.rounds, options.batches)
    return contest.report(parser, options, rows, COLUMNS, settings=settings)


def make_pictures(folder):
    """Writes JPEG files of random colours that change smoothly; returns their folder."""
    import numpy as np
    from PIL import Image

    pictures = folder / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for i in range(_PICTURES):
        coarse = Image.fromarray(rng.integers(0, 256, (14, 11, 3), dtype=np.uint8))
        first = pictures / f"{i:06d}_0.jpg"
        coarse.resize((178, 218), Image.Resampling.BICUBIC).save(first)
        for k in range(1, _TIMES):
            (pictures / f"{i:06d}_{k}.jpg").hardlink_to(first)
    return pictures


if __name__ == "__main__":
    sys.exit(main())
