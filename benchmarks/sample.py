"""Pictures a second: python -m benchmarks.sample [--peer NAME=CLONE ...].

A batch of pictures of a generator with random weights, as uint8 on the host. Ours are those of
`Sampler`: from seeds, in float32, whatever the precision of the training. Peers draw in float32 and
in bfloat16. The networks are those of `benchmarks.train_step`.
"""

import sys

from benchmarks import contest, train_step

COLUMNS = {
    "pictures/s": lambda row: f"{row['settings']['batch_size'] / row['seconds']:.4g}",
    **contest.COLUMNS,
}


def main():
    """Runs the benchmark."""
    parser = contest.Parser("sample", __doc__)
    train_step.add_settings(parser)
    options = parser.parse_args()
    settings = {"batch_size": 64, "task": "sample"}
    settings = {**train_step.settings_of(options), **settings}
    if options.batch_size:
        settings["batch_size"] = options.batch_size
    entrants = contest.contestants(options, settings, "float32")
    entrants += [
        entrant
        for entrant in contest.contestants(options, settings, "bfloat16")[1:]
        if "bfloat16" in options.precision
    ]
    rows = contest.contest(entrants, options.rounds)
    return contest.report(parser, options, rows, COLUMNS, settings=settings)


if __name__ == "__main__":
    sys.exit(main())
