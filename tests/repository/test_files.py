"""What a stranger finds in the tree: a licence, a changelog, locks that fit, and no trace of the machine it was written on."""

from __future__ import annotations

import json
import re
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME_FILES = ROOT / "src" / "cellblock" / "runtime" / "files"
NOT_OURS = {".git", ".venv", "demo-output", "build", "dist", "__pycache__"}
REGISTRY = re.compile(r"\b(?:pypi|pythonhosted|npmjs|yarnpkg|jsr)\.(?:org|com|io|dev)\b|--(?:extra-)?index-url|--find-links", re.IGNORECASE)


def text_files() -> Iterator[tuple[Path, str]]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and not NOT_OURS & set(parts) and not any(re.fullmatch(r"\..*(?:cache|hypothesis)", part) for part in parts):
            try:
                yield path.relative_to(ROOT), path.read_text()
            except UnicodeDecodeError:
                continue


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_names(lines: list[str]) -> set[str]:
    return {normal(re.split(r"[\[<>=!~; ]", line)[0]) for line in lines if line and not line.startswith(("#", " "))}


def test_no_file_names_a_package_registry() -> None:
    own = Path(__file__).relative_to(ROOT)
    assert [str(path) for path, text in text_files() if path != own and REGISTRY.search(text)] == []


def test_no_file_names_a_place_of_this_machine() -> None:
    everybodys = (Path("/"), Path(tempfile.gettempdir()), Path.home())
    places = [f"{Path.home()}/."] if ROOT.parent in everybodys else [f"{ROOT.parent}/", f"{Path.home()}/."]
    assert [str(path) for path, text in text_files() if any(place in text for place in places)] == []


def test_licence_is_apache_2_as_the_project_says() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == PROJECT["project"]["version"]


@pytest.mark.parametrize("target", ["demo", "serve", "check", "test", "bench", "clean", "lock"])
def test_make_has_the_target(target: str) -> None:
    assert re.search(rf"^{target}:.*## \w", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_project_lock_holds_every_dependency() -> None:
    wanted = requirement_names(PROJECT["project"]["dependencies"]) | requirement_names(PROJECT["dependency-groups"]["dev"])
    assert wanted - requirement_names((ROOT / "requirements.lock").read_text().splitlines()) == set()


def test_runtime_lock_holds_every_package() -> None:
    wanted = requirement_names((RUNTIME_FILES / "python.in").read_text().splitlines())
    assert wanted - requirement_names((RUNTIME_FILES / "python.lock").read_text().splitlines()) == set()


@pytest.mark.parametrize(
    "lock", [ROOT / "requirements.lock", RUNTIME_FILES / "python.lock", ROOT / "benchmarks" / "peers.lock"], ids=lambda path: path.name
)
def test_every_locked_python_package_has_a_hash(lock: Path) -> None:
    packages = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert [package.splitlines()[0] for package in packages if not re.search(r"^\S+==\S+ .*\\\n +--hash=sha256:", package)] == []


@pytest.mark.parametrize(
    "directory", [RUNTIME_FILES / "node", RUNTIME_FILES / "fonts", ROOT / "tests" / "conformance" / "node"], ids=lambda path: path.name
)
def test_node_lock_fits_its_package_file(directory: Path) -> None:
    wanted = json.loads((directory / "package.json").read_text())
    locked = json.loads((directory / "package-lock.json").read_text())["packages"]
    assert locked.pop("")["dependencies"] == wanted["dependencies"]
    assert [name for name, package in locked.items() if "integrity" not in package or "resolved" in package] == []
