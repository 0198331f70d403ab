"""The attention layer: python -m benchmarks.attention [--peer NAME=CLONE ...].

Ours and the peers' modules on random feature maps, forward, and forward and backward with the
gradients of the map and of all weights. The first published form (all locations attend to all) is
that of heykeetae/Self-Attention-GAN, the final one (pooled keys and values) that of BigGAN-PyTorch
and StudioGAN. "Cannot run" is a result: the dense map of the first preset takes 10.7 GB.

Presets:

  large    (10, 128, 128, 32), first form
  dcgan    (64, 32, 32, 64), first form: the larger map of a 64x64 DCGAN
  resnet   (16, 64, 64, 128), final form: BigGAN-PyTorch's SAGAN settings, in the generator
"""

import sys

from benchmarks import contest

PRESETS = {
    "large": {"shape": [10, 128, 128, 32], "form": "first"},
    "dcgan": {"shape": [64, 32, 32, 64], "form": "first"},
    "resnet": {"shape": [16, 64, 64, 128], "form": "final"},
}


def main():
    """Runs the benchmark."""
    parser = contest.Parser("attention", __doc__)
    parser.add_argument("--preset", choices=PRESETS, nargs="+", default=list(PRESETS))
    contest.add_precision(parser)
    options = parser.parse_args()
    rows = []
    for preset in options.preset:
        for backward in (False, True):
            for precision in options.precision:
                settings = {
                    **PRESETS[preset],
                    "task": "attention",
                    "backward": backward,
                    "warmup": 1,
                }
                entrants = contest.contestants(options, settings, precision)
                what = f"{preset}, {'forward and backward' if backward else 'forward'}"
                for row in contest.contest(entrants, options.rounds):
                    rows.append({**row, "name": f"{what}: {row['name']}"})
    return contest.report(parser, options, rows)


if __name__ == "__main__":
    sys.exit(main())
