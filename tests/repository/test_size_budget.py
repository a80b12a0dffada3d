"""The code stays small: the sizes and habits that a reader can rely on, measured over the whole tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("cellblock", "cellblock_cell")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / "src" / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MODULE_LINES, MOST_MODULES_LINES = 500, 450
FUNCTION_LINES, MOST_FUNCTIONS_LINES = 60, 35
PARAMETERS = 6
MOST = 0.9  # the share that "most" means

Function = ast.FunctionDef | ast.AsyncFunctionDef


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def functions(path: Path) -> Iterator[tuple[str, Function]]:
    """Each function with the place to look at when it is wrong."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, Function):
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def every_function() -> list[tuple[str, Function]]:
    return [found for path in SOURCES for found in functions(path)]


def line_count(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters(function: Function) -> list[ast.arg]:
    own = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [parameter for parameter in own if parameter.arg not in {"self", "cls"}]


def most(sizes: list[int]) -> int:
    """The size that nine of ten do not exceed."""
    return sorted(sizes)[min(len(sizes) - 1, int(len(sizes) * MOST))]


def per_thousand_lines(pattern: str, paths: list[Path]) -> float:
    text = "\n".join(path.read_text() for path in paths)
    return 1000 * len(re.findall(pattern, text)) / max(1, text.count("\n"))


def test_no_module_is_over_its_limit() -> None:
    sizes = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in SOURCES}
    assert {name: size for name, size in sizes.items() if size > MODULE_LINES} == {}


def test_most_modules_are_far_below_it() -> None:
    assert most([path.read_text().count("\n") for path in SOURCES]) <= MOST_MODULES_LINES


def test_no_function_is_over_its_limit() -> None:
    sizes = {place: line_count(function) for place, function in every_function()}
    assert {place: size for place, size in sizes.items() if size > FUNCTION_LINES} == {}


def test_most_functions_are_far_below_it() -> None:
    assert most([line_count(function) for _, function in every_function()]) <= MOST_FUNCTIONS_LINES


def test_no_function_takes_too_many_parameters() -> None:
    assert [place for place, function in every_function() if len(parameters(function)) > PARAMETERS] == []


def test_everything_is_annotated() -> None:
    def is_annotated(function: Function) -> bool:
        return function.returns is not None and all(parameter.annotation for parameter in parameters(function))

    assert [place for place, function in every_function() if not is_annotated(function)] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_module_and_its_public_classes_say_what_they_are(path: Path) -> None:
    module = parsed(path)
    classes = [node for node in ast.walk(module) if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    assert ast.get_docstring(module), "the module has no docstring"
    assert [node.name for node in classes if not ast.get_docstring(node)] == []


def test_environment_is_read_in_one_file() -> None:
    readers = [path.name for path in SOURCES if re.search(r"os\.(environ|getenv)", path.read_text())]
    assert readers == ["table.py"]


def test_own_modules_are_imported_at_the_top() -> None:
    late = []
    for place, function in every_function():
        for node in ast.walk(function):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            late += [place for name in names if name.split(".")[0] in PACKAGES]
    assert late == []


def test_nothing_writes_globals() -> None:
    assert [path.name for path in SOURCES if any(isinstance(node, ast.Global) for node in ast.walk(parsed(path)))] == []


def test_checkers_are_seldom_silenced() -> None:
    assert per_thousand_lines(r"#\s*(?:type:\s*ignore|noqa)", SOURCES) <= 3


def test_everything_is_seldom_caught() -> None:
    assert per_thousand_lines(r"except\s*(?:\(?\s*(?:Base)?Exception\b|:)", SOURCES) <= 1.5


def test_nothing_is_left_to_do() -> None:
    assert per_thousand_lines(r"\b(?:TODO|FIXME|XXX)\b", SOURCES) == 0


def test_tests_seldom_pretend_and_seldom_sleep() -> None:
    assert per_thousand_lines(r"\b(?:MagicMock|AsyncMock|Mock\(|patch\(|patch\.object)", TESTS) <= 3
    assert per_thousand_lines(r"(?:time|asyncio|anyio)\.sleep\(", TESTS) <= 2
