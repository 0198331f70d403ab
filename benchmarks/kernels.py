"""What the CPU implementations buy: python -m benchmarks.kernels [--preset resnet128].

A training step, as in `train_step`, with the implementations for CPUs (see
`keras_sagan/layers/kernels`), and with the plain ones in the place of those of convolutions, of
attention, and of both.
"""

import sys

from benchmarks import contest, train_step

PLAIN = {
    "cpu": (),
    "plain convolutions": ("conv", "conv_transpose"),
    "plain attention": ("attention",),
    "plain both": ("conv", "conv_transpose", "attention"),
}


def main():
    """Runs the benchmark."""
    parser = contest.Parser("kernels", __doc__, peers=())
    train_step.add_settings(parser)
    options = parser.parse_args()
    settings = {"task": "train_step", "warmup": 2, **train_step.settings_of(options)}
    rows = []
    for precision in options.precision:
        entrants = [
            contest.Contestant(
                f"{name} {precision}",
                contest.OURS,
                {**settings, "precision": precision, "plain": plain},
            )
            for name, plain in PLAIN.items()
        ]
        rows += contest.contest(entrants, options.rounds)
    return contest.report(parser, options, rows, contest.COLUMNS, settings=settings)


if __name__ == "__main__":
    sys.exit(main())
