"""What the client says of mistakes and of servers that refuse."""

import pytest
from programs import run
from serving import call, check_refused


@pytest.mark.slow
def test_the_grpc_client_without_a_server_ends_in_one_line(closed_port, tmp_path):
    url = f"grpc://localhost:{closed_port}"
    process = run("-m", "export.serving.client", "--url", url, "--out", tmp_path / "x.png")
    assert process.returncode == 2 and "Traceback" not in process.stderr
    # What stands before it is TensorFlow's own: its first lines cannot be turned off.
    line = process.stderr.splitlines()[-1]
    assert line.startswith(f"error: model sagan at {url}: the server says (UNAVAILABLE)")


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (
            ["--label", 3],
            ["model sagan at ", "--label 3: ", "INVALID_ARGUMENT 400", "label must be from 0 to 2"],
        ),
        ([], ["it has classes: give --label"]),
        (["--model", "plain", "--label", 0], ["--label 0: it has no classes: leave out --label"]),
        (["--model", "nobody"], ["model nobody", "Latest(nobody)", "NOT_FOUND 404", "--model is"]),
        (["--model", "other"], ["it has no signature sample"]),
        (["--model", "slow", "--timeout", "0.2"], ["no answer within --timeout 0.2 seconds"]),
    ],
)
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_what_a_server_refuses_is_one_line(protocol, arguments, phrases, servers, capsys, out):
    outcome = call(capsys, "--url", servers[protocol], *arguments, "--out", out)
    by_protocol = {"INVALID_ARGUMENT 400": ("400", "INVALID_ARGUMENT")}
    by_protocol["NOT_FOUND 404"] = ("404", "NOT_FOUND")
    phrases = [by_protocol.get(x, (x, x))[protocol == "grpc"] for x in phrases]
    check_refused(outcome, out, *phrases)


def test_somebody_else_at_the_url_is_one_line(servers, closed_port, capsys, out):
    crossed = servers["http"].replace("http", "grpc"), servers["grpc"].replace("grpc", "http")
    for url, *phrases in (
        (f"http://localhost:{closed_port}", "refused", "compose.yaml has it at 8501"),
        (f"grpc://localhost:{closed_port}", "refused", "compose.yaml has gRPC at 8500"),
        (crossed[0], "UNAVAILABLE", "compose.yaml has gRPC at 8500"),
        (crossed[1], "compose.yaml has it at 8501"),
        (f"{servers['http']}/elsewhere", "404", "Not Found"),
        ("http://localhost:port", "nonnumeric port"),
        ("http://[::1", "Invalid IPv6 URL"),
    ):
        check_refused(call(capsys, "--url", url, "--out", out), out, url, *phrases)


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (["--url", "localhost:8501"], ["--url localhost:8501", "http://HOST:PORT"]),
        (["--url", "ftp://localhost"], ["--url ftp://localhost", "grpc://HOST:PORT"]),
        (["--url", "http://"], ["--url http://:"]),
        (["--seed", "-1"], ["--seed: -1 is not a whole number from 0 to 2147483647"]),
        (["--seed", "2147483648"], ["--seed: 2147483648 is not"]),
        (["--seed", "seven"], ["--seed: seven is not"]),
        (["--seed", "2147483647", "--count", "2"], ["--count 2: seeds end at 2147483647"]),
        (["--label", "-1"], ["--label: -1 is not"]),
        (["--count", "0"], ["--count: 0 is not a whole number from 1"]),
        (["--truncation", "nan"], ["--truncation: nan is not a finite number"]),
        (["--truncation", "inf"], ["--truncation: inf is not a finite number"]),
        (["--truncation", "1e39"], ["--truncation: 1e39 is not"]),  # infinite in float32
        (["--timeout", "0"], ["--timeout: 0 is not"]),
        (["--out", "x.jpg"], ["--out x.jpg: name a file that ends in .png"]),
        (["--out", "nowhere/x.png"], ["--out nowhere/x.png: there is no folder nowhere"]),
        (["--shape", "3"], ["--shape"]),
    ],
)
def test_arguments_that_cannot_be_right_are_one_line(arguments, phrases, capsys, out):
    """And no server is asked: there is none."""
    check_refused(call(capsys, "--out", out, *arguments), out, *phrases)


def test_a_picture_that_cannot_be_written_is_one_line(servers, capsys, out, tmp_path):
    (tmp_path / "folder.png").mkdir()
    options = ["--url", servers["http"], "--label", 0, "--out", tmp_path / "folder.png"]
    check_refused(call(capsys, *options), out, "folder.png: Is a directory")
