"""Trains a GAN from a config into a run folder."""

import sys

from keras_sagan.cli.quiet import start_backend
from keras_sagan.errors import InputError
from keras_sagan.running.devices import STRATEGIES


def add_arguments(parser):
    """Adds the arguments of `train`."""
    parser.add_argument("--config", metavar="FILE", help="a config, such as configs/cifar10.yaml")
    parser.add_argument("--run-dir", metavar="RUN", required=True, help="the run folder to write")
    parser.add_argument(
        "--data", metavar="DIR", help="train on a folder of images, one sub-folder a class"
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="assignments",
        nargs="+",
        action="extend",
        default=[],
        help="override values of the config, as in --set train.steps=1000 model.width=32",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in RUN")
    parser.add_argument(
        "--init-from",
        metavar="OTHER",
        help="start a new run with the networks of the run in OTHER, as it last saved them; or "
        "with a pretrained generator",
    )
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="auto",
        help="devices: auto uses all GPUs (on JAX all TPUs too), default one device, mirrored all",
    )


def run(options):
    """Trains a GAN; returns the exit code."""
    from keras_sagan.running import config as config_module
    from keras_sagan.running.pretrained import find_run
    from keras_sagan.running.run_folder import Run

    run_folder = Run(options.run_dir)
    if options.resume and options.init_from is not None:
        raise InputError("--init-from starts a new run, and --resume goes on with one: give either")
    if options.config is not None:
        config = config_module.load(options.config, options.assignments, options.data)
    elif options.resume:
        config = config_module.parse(
            run_folder.config().model_dump(),
            f"{run_folder.config_file}",
            options.assignments,
            options.data,
        )
    else:
        raise InputError("--config is missing: name a config, such as configs/paired_shapes.yaml")
    config.data.check_given()
    if not options.resume:
        run_folder.check_new()
    if options.init_from is not None:
        other = find_run(options.init_from)
        other.config()  # or a line before anything starts
        config = config.starting_from(str(other.path))
    try:
        return _train(options, run_folder, config)
    except OSError as error:  # a full disk, or one that is gone
        if error.errno is None:  # not the system's
            raise
        at = options.run_dir if error.filename is None else error.filename
        print(
            f"error: {at}: {error.strerror or error}; {_kept(run_folder)}. To go on: the same "
            "command with --resume",
            file=sys.stderr,
        )
        return 1


def _kept(run_folder):
    steps = run_folder.checkpoint_steps()
    return f"the checkpoint of step {steps[-1]} is kept" if steps else "no step was saved yet"


def _train(options, run_folder, config):
    if options.resume:
        run_folder.config()
        with run_folder.training():  # or a line at once, instead of after the start of the backend
            pass
    start_backend()
    from keras_sagan.running import training
    from keras_sagan.running.callbacks import NotFiniteError

    try:
        outcome = training.train(config, options.run_dir, options.resume, options.strategy)
    except NotFiniteError as error:
        print(f"error: {error}; {_kept(run_folder)}", file=sys.stderr)
        return 1
    print(f"pictures: {outcome.sheets[0]}")
    for path in outcome.sheets[1:]:
        print(f"attention: {path}")
    if outcome.signal is not None:
        print(f"stopped at step {outcome.step}; to go on: the same command with --resume")
        return 128 + outcome.signal
    return 0
