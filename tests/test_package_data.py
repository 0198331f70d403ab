"""What an installed package has beside its code."""

import tomllib

from programs import REPOSITORY


def test_files_that_are_no_code_are_installed_too():
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]
    installed = {
        path
        for package, patterns in settings["package-data"].items()
        for pattern in patterns
        for path in REPOSITORY.joinpath(*package.split(".")).glob(pattern)
        if path.is_file()
    }
    others = {
        path
        for path in (REPOSITORY / "keras_sagan").rglob("*")
        if path.is_file() and path.suffix != ".py" and path.parent.name != "__pycache__"
    }
    assert others == installed and len(others) >= 2
