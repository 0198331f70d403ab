"""Training steps: python -m benchmarks.train_step [--peer NAME=CLONE ...].

A step is one update of the discriminator and one of the generator. Ours is a step of `fit` with
the defaults of `GAN.compile`, on batches of random pictures, reading the logs included; it averages
the generator's weights too. Peers run as their code is written, tuned by hand (gradients
only where they are needed, PyTorch's own spectral norm, channels-last), and that compiled.

Presets are the two published comparisons:

  dcgan64     DCGAN of heykeetae/Self-Attention-GAN: 64x64, width 64, batch 64, no classes
  resnet128   the ResNet of BigGAN-PyTorch's SAGAN settings: 128x128, width 64, 1000 classes,
              attention at 64, batch 16
"""

import statistics
import sys

from benchmarks import contest

PRESETS = {
    "dcgan64": {
        "family": "dcgan", "image_size": 64, "width": 64, "batch_size": 64, "latent_dim": 128,
        "classes": None, "attention": None,
    },
    "resnet128": {
        "family": "resnet", "image_size": 128, "width": 64, "batch_size": 16, "latent_dim": 128,
        "classes": 1000, "attention": [64],
    },
}  # fmt: skip
COLUMNS = {
    **contest.COLUMNS,
    "TFLOP/s": lambda row: f"{row['flops'] / row['seconds'] / 1e12:.3g}" if "flops" in row else "",
    "of the ceiling": lambda row: f"{row['ceiling_share']:.0%}" if "ceiling_share" in row else "",
}


def main():
    """Runs the benchmark."""
    parser = contest.Parser("train_step", __doc__)
    add_settings(parser)
    options = parser.parse_args()
    settings = {"task": "train_step", **settings_of(options)}
    rows = []
    for precision in options.precision:
        entrants = contest.contestants(options, settings, precision)
        told = {"task": "matmul", "precision": precision, "warmup": 1}
        entrants.append(contest.Contestant(f"matrix products {precision}", contest.OURS, told))
        found = contest.contest(entrants, options.rounds)
        add_ceiling_share(found[0], found[-1])
        rows += found
    return contest.report(parser, options, rows, COLUMNS, settings=settings)


def add_ceiling_share(ours, products):
    """Gives our row the median share of the rate of matrix products, turn by turn."""
    products.pop("ratio", None)  # it does other work
    if "error" not in ours and "error" not in products:
        rates = ([row["flops"] / turn for turn in row["turns"]] for row in (ours, products))
        ours["ceiling_share"] = statistics.median(a / b for a, b in zip(*rates, strict=True))


def add_settings(parser):
    """Adds the arguments that name the networks."""
    parser.add_argument("--preset", choices=PRESETS, default="dcgan64", help="see above")
    parser.add_argument("--family", choices=("dcgan", "resnet"))
    parser.add_argument("--image-size", type=int, choices=(32, 64, 128, 256))
    parser.add_argument("--width", type=contest.positive)
    parser.add_argument("--batch-size", type=contest.positive)
    parser.add_argument("--classes", type=contest.positive)
    parser.add_argument("--attention", type=contest.positive, nargs="+", metavar="SIZE")
    contest.add_precision(parser)


def settings_of(options):
    """Returns the preset's settings, with those that were given in their place."""
    given = {name: getattr(options, name) for name in PRESETS["dcgan64"] if hasattr(options, name)}
    changed = {name: value for name, value in given.items() if value is not None}
    return {**PRESETS[options.preset], **changed}


if __name__ == "__main__":
    sys.exit(main())
