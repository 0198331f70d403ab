"""Imports run one way: each wing uses those before it, and nothing uses the programs."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "keras_sagan"
# From the ground up. A wing imports itself and what it lists here.
MAY_IMPORT = {
    "errors": set(),
    "files": set(),
    "layers": set(),
    "metrics": {"errors", "files", "layers"},
    "models": {"layers"},
    "data": {"errors", "files"},
    "sampling": {"errors", "files", "layers", "models"},
    "adversarial": {"errors", "layers", "models", "sampling"},
    "running": {"errors", "files", "models", "data", "sampling", "adversarial", "metrics"},
    "exporting": {"errors", "layers", "models", "sampling", "running"},
    "evaluating": {
        *("errors", "files", "layers", "models", "data", "sampling"),
        *("running", "metrics", "exporting"),
    },
    "importing": {"errors", "layers", "models", "running"},
    "cli": {
        *("errors", "files", "sampling", "running", "metrics"),
        *("exporting", "importing", "evaluating"),
    },
}


def modules():
    """The modules of the package by name."""
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports_of(path):
    """What a module imports of the package, wherever the import stands in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "keras_sagan":
            assert node.level == 0
            module = node.module.removeprefix("keras_sagan").removeprefix(".")
            for alias in node.names:
                name = f"{module}.{alias.name}".removeprefix(".")
                yield (
                    name
                    if (PACKAGE / name.replace(".", "/")).exists()
                    or (PACKAGE / f"{name.replace('.', '/')}.py").exists()
                    else module
                )
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("keras_sagan."):
                    yield alias.name.removeprefix("keras_sagan.")


NAMES = dict(modules())


def test_every_file_is_in_a_wing():
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "errors.py"}
    assert {name.split(".")[0] for name in NAMES} == {"", *MAY_IMPORT}


@pytest.mark.parametrize("wing", MAY_IMPORT)
def test_a_wing_imports_only_those_below(wing):
    for name, path in NAMES.items():
        if name.split(".")[0] != wing:
            continue
        for imported in imports_of(path):
            used = imported.split(".")[0]
            assert used in {"", wing, *MAY_IMPORT[wing]}, f"{name} imports {imported}"


def test_wings_stand_in_order():
    order = list(MAY_IMPORT)
    for wing, below in MAY_IMPORT.items():
        assert all(order.index(other) < order.index(wing) for other in below)


def test_no_module_imports_itself_by_others():
    graph = defaultdict(set)
    for name, path in NAMES.items():
        # Packages are what their `__init__` collects; a module of one is not a use of it all.
        graph[name] = {other for other in imports_of(path) if other in NAMES and other != name}
    done, path = set(), []

    def visit(name):
        assert name not in path, f"a loop: {' -> '.join([*path[path.index(name) :], name])}"
        if name in done:
            return
        path.append(name)
        for other in graph[name]:
            visit(other)
        path.pop()
        done.add(name)

    for name in list(graph):
        visit(name)
