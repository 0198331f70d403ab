"""Makes a run of a network that another project trained."""

from keras_sagan.cli.quiet import start_backend
from keras_sagan.importing import SYSTEMS


def add_arguments(parser):
    """Adds the arguments of `import`."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="the generator's file, or the file, prefix or folder of both networks",
    )
    parser.add_argument(
        "--from", dest="system", required=True, choices=SYSTEMS, help="whose code trained it"
    )
    parser.add_argument("--run-dir", metavar="RUN", required=True, help="the run folder to write")
    parser.add_argument(
        "--discriminator",
        metavar="FILE",
        help="the discriminator's file, to train on from; without, it begins anew",
    )
    parser.add_argument(
        "--conf", metavar="FILE", help="attn-gan-pytorch: the .conf file of the generator"
    )
    parser.add_argument(
        "--discriminator-conf", metavar="FILE", help="likewise, that of the discriminator"
    )


def run(options):
    """Imports a checkpoint; returns the exit code."""
    start_backend()
    from keras_sagan.importing import import_checkpoint

    networks = import_checkpoint(
        options.checkpoint,
        options.system,
        options.run_dir,
        options.discriminator,
        options.conf,
        options.discriminator_conf,
    )
    for note in networks.notes:
        print(note)
    generator = networks.generator
    classes = f"{generator.num_classes} classes" if generator.num_classes else "no classes"
    print(
        f"{options.run_dir}: a generator of {generator.image_size}x{generator.image_size} "
        f"pictures, width {generator.width}, {classes}, attention at "
        f"{', '.join(map(str, generator.attention)) or 'no size'}; "
        f"{generator.count_params() / 1e6:.2f} M weights"
        + ("" if networks.discriminator is None else "; and its discriminator")
    )
    return 0
