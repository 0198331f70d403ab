"""The command `keras-sagan`, one file a command.

`train.py` and `python -m export` are doors to the same files.
"""

from keras_sagan.cli import compare, evaluate, export, import_checkpoint, sample, show, train
from keras_sagan.cli.program import Parser, run

COMMANDS = {
    "train": train,
    "sample": sample,
    "evaluate": evaluate,
    "compare": compare,
    "show": show,
    "export": export,
    "import": import_checkpoint,
}


def main(arguments=None):
    """Runs the command; returns its exit code."""
    parser = Parser(prog="keras-sagan", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        text = command.__doc__.splitlines()[0]
        sub_parser = commands.add_parser(name, help=text, description=text)
        command.add_arguments(sub_parser)
        sub_parser.set_defaults(function=command.run)
    options = parser.parse_args(arguments)
    return run(options.function, options)
