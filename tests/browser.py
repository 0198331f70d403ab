"""Chromium without a window, and a server on this machine whose page does what tests ask for."""

import json
import queue
import shutil
import subprocess
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from programs import REPOSITORY

WEB = REPOSITORY / "export" / "examples" / "web"
_PAGE = Path(__file__).with_suffix(".html")
_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_SECONDS = 120  # for one task
_FLAGS = (
    "--headless",
    "--no-sandbox",  # which root cannot have
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")


def missing():
    """What has to be installed before anything can run in a browser, or None."""
    if _CHROMIUM is None:
        return "no Chromium: apt-get install chromium"
    if not (WEB / "node_modules" / "@litertjs").is_dir():
        return "no LiteRT.js: npm install in export/examples/web"
    return None


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args, folder, tasks, answers, **kwargs):
        self.folder, self.tasks, self.answers = folder, tasks, answers
        super().__init__(*args, **kwargs)

    def translate_path(self, path):
        path = path.partition("?")[0]
        if path == "/":
            return str(_PAGE)
        root = WEB if path.startswith("/web/") else self.folder
        return str(root / path.removeprefix("/web/").lstrip("/"))

    def do_GET(self):
        path, _, number = self.path.partition("?")
        if path == "/task":
            self.reply(json.dumps(self.tasks[int(number)]))
        else:
            super().do_GET()

    def do_POST(self):
        number = int(self.path.partition("?")[2])
        self.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.reply(str(number + 1) if number + 1 < len(self.tasks) else "")

    def reply(self, text):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def in_browser(folder, tasks, webgpu=True):
    """Does tasks in a page each, in one Chromium.

    Args:
        folder: What the server has at /, beside the example at /web/.
        tasks: Dictionaries: the kind of the task, and what it takes (see browser.html).
        webgpu: Whether the browser has WebGPU, of a GPU in software, which is slow and the same
            everywhere.

    Returns:
        For each task a dictionary: its result, or error, and log.
    """
    answers = queue.Queue()
    handler = partial(_Handler, folder=folder, tasks=tasks, answers=answers)
    server = ThreadingHTTPServer(("localhost", 0), handler)
    port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = [*_FLAGS, *(_SOFTWARE_GPU if webgpu else ())]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [_CHROMIUM, *flags, f"--user-data-dir={profile}", f"http://localhost:{port}/?0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return [_answer(answers, process, task) for task in tasks]
        finally:
            process.kill()
            process.wait()
            server.shutdown()
            server.server_close()


def _answer(answers, process, task):
    for _ in range(_SECONDS):
        try:
            return answers.get(timeout=1)
        except queue.Empty:
            assert process.poll() is None, f"Chromium ended, {process.returncode}, over {task}"
    raise AssertionError(f"no answer in {_SECONDS} s to {task}")


def packed(inputs):
    """Arrays by name, as the page takes them."""
    return {
        name: {"dtype": x.dtype.name, "values": x.ravel().tolist()} for name, x in inputs.items()
    }


def unpacked(outputs):
    """Arrays by name, of what the page sends."""
    return {
        name: np.array(x["values"], x["dtype"]).reshape(x["shape"]) for name, x in outputs.items()
    }
