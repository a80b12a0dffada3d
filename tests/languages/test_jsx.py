"""JSX is called JSX, and no other syntax error is, whatever markup stands in the strings and types of the code."""

from __future__ import annotations

import pytest

from cells import BenchCell
from languages.running import Program, run

JSX = "JSX is not supported here: call the element functions, for example React.createElement, or compile the file first"
ELEMENTS = {
    "element": "const a = <div>hello</div>;",
    "fragment": "const a = <>hello</>;",
    "nested-in-a-fragment": "const a = <><b>x</b></>;",
    "self-closing": "show(<br/>)",
    "member-with-attribute": "const a = <Foo.Bar x='1' />",
    "text-with-an-apostrophe": "const view = () => <p>It's {x}</p>",
    "attributes-on-lines-of-their-own": "const a = (\n  <Foo\n    x={1}\n  />\n);",
    "text-on-a-line-of-its-own": "const a = (\n  <div>\n    hello world\n  </div>\n);",
    "after-html-in-a-string": "const html = '<b>hi</b>';\nconst a = <p>{html}</p>;",
}
MARKUP = {
    "on-another-line": ("const html = '<b>hi</b>';\nconst x = ;", "Unexpected token ';'", "Expression expected"),
    "on-the-line": ("const html = '<b>hi</b>' oops;", "Unexpected identifier 'oops'", "Expected a semicolon"),
    "in-a-template": ("const h = `\n<div>\n${x y}</div>`;", "Missing } in template expression", "Unexpected token `"),
    "in-a-template-before": ("const t = `<p>\n</p><br/>`; const x = ;", "Unexpected token ';'", "Expression expected"),
    "in-a-regular-expression": ("const tag = /<b\\/>|<\\/b>/; const x = ;", "Unexpected token ';'", "Expression expected"),
    "comparison": ("const x = a < b && b > ;", "Unexpected token ';'", "Expression expected"),
}
TYPES = {
    "type-arguments": "const m = new Map<string, number>(;",
    "type-of-a-variable": "function f<T>(x: T) { return x; } const y: Array<number> = ;",
    "generic-arrow-function": "const f = <T,>(x: T) => x; const y = ;",
    "type-assertion": "const q = (<any>{}).bar(;",
}


@pytest.fixture(params=["nodejs", "deno"])
def runtime(request: pytest.FixtureRequest) -> str:
    """Each runtime of JavaScript."""
    name: str = request.param
    return name


def refusal(cell: BenchCell, program: Program) -> str:
    """Why the code could not run."""
    done = run(cell, program)
    assert (done.exit_code, done.stdout) == (1, b"")
    return done.stderr.decode().rpartition("Uncaught SyntaxError: ")[2].strip()


@pytest.mark.parametrize("language", ["javascript", "typescript"])
@pytest.mark.parametrize("code", ELEMENTS.values(), ids=ELEMENTS)
def test_jsx_is_called_jsx(cell: BenchCell, runtime: str, language: str, code: str) -> None:
    assert refusal(cell, Program(code, language, runtime)) == JSX


@pytest.mark.parametrize(("code", "in_javascript", "in_typescript"), MARKUP.values(), ids=MARKUP)
def test_other_errors_beside_markup_are_told_as_they_are(
    cell: BenchCell, runtime: str, code: str, in_javascript: str, in_typescript: str
) -> None:
    assert refusal(cell, Program(code, "javascript", runtime)) == in_javascript
    assert refusal(cell, Program(code, "typescript", runtime)).startswith(in_typescript)


@pytest.mark.parametrize("code", TYPES.values(), ids=TYPES)
def test_other_errors_beside_generic_types_are_told_as_they_are(cell: BenchCell, runtime: str, code: str) -> None:
    assert refusal(cell, Program(code, "typescript", runtime)) == "Expression expected"
