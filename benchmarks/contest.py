"""Contests: processes that take turns (A B A B), their table, and their JSON.

A contestant is a script that serves turns (see `take_turns.py`), in its own process and its own
environment. All are started and warmed up, then each takes one turn a round, so that whatever
slows the machine for a while slows all of them.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine

FOLDER = Path(__file__).parent
OURS = FOLDER / "ours.py"
PEERS = ("heykeetae", "biggan", "studiogan")
# What a peer can be given by hand, beside its code as it is.
VARIANTS = ("as written", "tuned", "compiled")
# Several processes share a GPU: none may take all of its memory beforehand.
_SHARED_GPU = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


@dataclass
class Contestant:
    """A process that takes turns: its name in the table, its script and what that is told."""

    name: str
    script: Path
    settings: dict
    python: str = sys.executable


class Parser(argparse.ArgumentParser):
    """The arguments that all benchmarks have. What is wrong is said in one line.

    Args:
        name: Of the benchmark's module.
        description: What it measures.
        peers: Of which clones may be given.
        rounds: Whether there are turns to take.
    """

    def __init__(self, name, description, peers=PEERS, rounds=True):
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(
            f"python -m benchmarks.{name}", None, description, formatter_class=formatter
        )
        if rounds:
            self.add_argument("--rounds", type=positive, default=7, help="turns of each contestant")
        self.add_argument(
            "--out", type=Path, metavar="FILE.json", help="where to write the numbers"
        )
        self._peers = peers
        if peers:
            self.add_argument(
                "--peer",
                metavar="NAME=CLONE",
                action="append",
                default=[],
                dest="peers",
                help=f"a clone of another project's code to compare with: {', '.join(peers)}",
            )
            self.add_argument(
                "--peer-python",
                metavar="PATH",
                default=sys.executable,
                help="the Python of the peers' environment; this one unless given",
            )

    def parse_args(self, *args):
        """As usual; `peers` becomes a dictionary of clones by name."""
        options = super().parse_args(*args)
        if options.out is not None and not options.out.resolve().parent.is_dir():
            self.error(f"--out {options.out}: there is no folder {options.out.parent}")
        if self._peers:
            clones = {}
            for text in options.peers:
                name, _, clone = text.partition("=")
                if name not in self._peers:
                    self.error(f"--peer {text}: known here are {', '.join(self._peers)}")
                if not Path(clone).is_dir() or not clone:
                    self.error(f"--peer {text}: {clone or 'nothing'} is not a folder")
                clones[name] = str(Path(clone).resolve())
            options.peers = clones
        return options

    def error(self, message):
        self.exit(2, f"error: {message}\n")


def positive(text):
    """The type of an argument that counts."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return int(text)


def contestants(options, settings, precision, variants=VARIANTS):
    """Returns ours and the peers of the options, each in its variants.

    Code as it is written runs under autocast in bfloat16.
    """
    told = {"warmup": 2, **settings, "precision": precision}
    everyone = [Contestant(f"keras-sagan {precision}", OURS, told)]
    for peer, clone in options.peers.items():
        for variant in variants:
            everyone.append(
                Contestant(
                    f"{peer} {variant} {precision}",
                    FOLDER / "peers" / f"{peer}.py",
                    {**told, "variant": variant, "clone": clone},
                    options.peer_python,
                )
            )
    return everyone


def add_precision(parser):
    """Adds the argument of the precisions to compute in."""
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=("float32", "bfloat16"),
        default=["float32", "bfloat16"],
        help="contests are held in each; both unless given",
    )


def contest(entrants, rounds, repeats=1):
    """Lets contestants take turns.

    Args:
        entrants: List of `Contestant`; ratios are to the first.
        rounds: Turns of each.
        repeats: Times that the task is done a turn.

    Returns:
        A row for each contestant: name, settings, what it tells of itself, the seconds of each
        turn, their median, the peak of its memory and the median of the ratios round by round; or
        the error that ended it.
    """
    with playing(entrants) as players:
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            for player in players:
                player.take_turn(repeats)
        rows = [player.row() for player in players]
    add_ratios(rows)
    return rows


@contextlib.contextmanager
def playing(entrants):
    """Starts contestants, gives their `Player`s, and ends them."""
    with tempfile.TemporaryDirectory() as folder:
        players = []
        try:
            for i, entrant in enumerate(entrants):
                print(f"starting {entrant.name} ...", file=sys.stderr, flush=True)
                players.append(Player(entrant, Path(folder) / f"{i}.log"))
            yield players
        finally:
            for player in players:
                player.stop()


def add_ratios(rows):
    """Gives rows the median of their ratios to the first, turn by turn."""
    for row in rows:
        if "error" not in row and "error" not in rows[0]:
            pairs = zip(row["turns"], rows[0]["turns"], strict=True)
            row["ratio"] = statistics.median(turn / other for turn, other in pairs)


class Player:
    """The process of a contestant."""

    def __init__(self, contestant, log):
        self._contestant = contestant
        self._log = log
        self._turns = []
        self._about = {}
        self._error = None
        with log.open("w") as errors:
            try:
                self._process = subprocess.Popen(
                    [contestant.python, contestant.script, json.dumps(contestant.settings)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    env={**os.environ, **_SHARED_GPU, "TF_CPP_MIN_LOG_LEVEL": "2"},
                )
            except OSError as error:
                self._process, self._error = None, f"{contestant.python}: {error.strerror}"
                return
        # Should memory run out, it is the contestant that ends, and that is a result.
        score = Path(f"/proc/{self._process.pid}/oom_score_adj")
        if score.exists():
            score.write_text("1000")
        self._about = self._answer()

    def take_turn(self, repeats):
        if self._error is not None:
            return
        try:
            self._process.stdin.write(f"{repeats}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer below says why
        self._turns.append(self._answer())

    def row(self):
        row = {"name": self._contestant.name, "settings": self._contestant.settings}
        if self._error is not None:
            return {**row, "error": self._error}
        turns = [turn["seconds"] for turn in self._turns]
        return {
            **row,
            **self._about,
            "turns": turns,
            "seconds": statistics.median(turns),
            "peak_bytes": max(turn["peak_bytes"] for turn in self._turns),
        }

    def stop(self):
        if self._process is not None:
            self._process.kill()  # there is nothing that it should still do
            self._process.wait()

    def _answer(self):
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        code = self._process.wait()
        lines = [
            text for text in self._log.read_text(errors="replace").splitlines() if text.strip()
        ]
        if code < 0:
            self._error = f"ended by signal {-code}" + " (out of memory?)" * (code == -9)
        else:
            self._error = lines[-1].strip()[:200] if lines else f"ended with code {code}"
        return None


def table(rows, columns):
    """Returns the lines of a table.

    Args:
        rows: Dictionaries; one with an "error" shows that in the place of its numbers.
        columns: Titles and functions of a row that return text, "" for nothing.
    """
    cells = [["", *columns]]
    for row in rows:
        texts = [""] * len(columns) if "error" in row else [f(row) for f in columns.values()]
        cells.append([row["name"], *texts])
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns) + 1)]
    for line, row in zip(cells, [{}, *rows], strict=True):
        if "error" in row:
            yield f"{line[0]:{widths[0]}}  cannot run: {row['error']}"
        else:
            first, *rest = line
            texts = (f"{text:>{width}}" for text, width in zip(rest, widths[1:], strict=True))
            yield "  ".join([f"{first:{widths[0]}}", *texts]).rstrip()


COLUMNS = {
    "seconds": lambda row: f"{row['seconds']:.4g}",
    "times ours": lambda row: f"{row['ratio']:.2f}" if "ratio" in row else "",
    "peak GB": lambda row: f"{row['peak_bytes'] / 1e9:.2f}",
}


def report(parser, options, rows, columns=COLUMNS, **about):
    """Prints the table and, where asked for, writes the JSON; returns the exit code."""
    for line in table(rows, columns):
        print(line)
    if options.out is not None:
        content = {
            "command": [parser.prog, *sys.argv[1:]],
            "machine": machine.describe(),
            **about,
            "rows": rows,
        }
        options.out.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")
    return 1 if all("error" in row for row in rows) else 0
