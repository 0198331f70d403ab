"""What people look at, drawn from a run."""

from keras_sagan.files.whole_files import replacing

# What can be shown, in the order of being drawn; modules with Keras are imported in `show`.
KINDS = ("samples", "interpolation", "truncation", "neighbours", "attention", "singular_values")
_DPI = 110


def show(run, folder, out, only=KINDS, seed=0, data=None, extractor=None, locations=None):
    """Draws PNG files into a folder, in place of those that are there.

    Args:
        run: A `Run`.
        folder: That of the checkpoint.
        out: Path of the folder to write to; it is made if it is not there.
        only: Some of `KINDS`.
        seed: The first seed of pictures.
        data: Folder of images to look for neighbours in, or None for what the run learns from.
        extractor: See `keras_sagan.evaluating.nearest.neighbours`.
        locations: See `keras_sagan.evaluating.attention.attention`.

    Yields:
        Lines that say what was written or found, one at a time.

    Raises:
        InputError: What was given cannot be used.
        OSError: The folder cannot be written.
    """
    from keras_sagan.evaluating import attention, drawings, nearest, spectra
    from keras_sagan.evaluating.subject import Subject

    subject = Subject(run, folder, seed)
    attention.check_locations(locations, subject.image_size)
    draw = {
        "samples": lambda: drawings.samples(subject),
        "interpolation": lambda: drawings.interpolation(subject),
        "truncation": lambda: drawings.truncation(subject),
        "neighbours": lambda: nearest.neighbours(subject, data, extractor),
        "attention": lambda: attention.attention(subject, locations),
        "singular_values": lambda: spectra.singular_values(subject),
    }
    out.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        if kind not in only:
            continue
        for name, result in draw[kind]():
            if name is None:
                yield result
                continue
            path = out / f"{name}.png"
            with replacing(path) as partial:
                if hasattr(result, "savefig"):
                    result.savefig(partial, format="png", dpi=_DPI)
                else:
                    result.save(partial, format="png")
            yield str(path)
