"""What figures can be at best and at worst: of real pictures, and of noise.

    python -m benchmarks.bounds --data DIR

One half of a folder's pictures is judged against the other half, as a generator would be that draws
as the data is; and noise, each value from 0 to 255 alike, labelled in turn.
"""

import json

from benchmarks import contest
from keras_sagan.cli.program import run


def main():
    """Judges both."""
    parser = contest.Parser("bounds", __doc__, peers=(), rounds=False)
    parser.add_argument("--data", required=True, metavar="DIR", help="folder of real pictures")
    parser.add_argument(
        "--image-size", type=contest.positive, default=32, help="they are resized to this"
    )
    parser.add_argument(
        "--samples", type=contest.positive, default=10_000, help="pictures that are judged"
    )
    parser.add_argument(
        "--extractor", metavar="NAME", help="as of keras-sagan evaluate; else what suits the data"
    )
    return run(judge, parser.parse_args())


def judge(options):
    """Prints a table of both; returns the exit code."""
    import numpy as np

    from keras_sagan.data.parts import Part
    from keras_sagan.errors import InputError
    from keras_sagan.metrics import evaluation
    from keras_sagan.metrics.features import reference
    from keras_sagan.running import real_pictures

    source, identity = real_pictures.source_of(options.data, options.image_size)
    extractor = real_pictures.choose_extractor(options.extractor, source, identity)
    order = np.random.default_rng(0).permutation(len(source))
    known, others = np.array_split(order, 2)
    others = others[: options.samples]
    samples = len(others)
    if samples < 2:
        raise InputError(f"{options.data} holds {len(source)} pictures: halves need two each")
    known = Part(source, np.sort(known))
    real = reference.of_source(known, {**identity, "half": 0}, extractor)
    classes, fewest = None, None
    if source.class_names is not None:
        classes = len(source.class_names)
        fewest = int(np.bincount(source.labels[others], minlength=classes).min())

    def drawn(of_batch):
        def batches():
            for start in range(0, samples, 250):
                yield of_batch(np.arange(start, min(start + 250, samples)))

        return evaluation.Pictures(samples, classes, batches, {"samples": samples}, fewest)

    def noise(indices):
        shape = (len(indices), source.image_size, source.image_size, 3)
        random = np.random.default_rng(int(indices[0]))
        labels = None if classes is None else indices % classes
        return random.integers(0, 256, shape, np.uint8), labels

    results = {
        "real pictures": drawn(lambda indices: source.read(others[indices])),
        "noise": drawn(noise),
    }
    for name, pictures in results.items():
        results[name] = evaluation.evaluate(pictures, extractor, real)
        print(f"{name}\n" + "\n".join(f"  {line}" for line in evaluation.table(results[name])))
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
