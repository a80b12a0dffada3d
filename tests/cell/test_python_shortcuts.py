"""What the Python kernel skips of IPython for speed changes nothing that a user sees."""

from __future__ import annotations

import pytest

from cell.client import AgentClient

CODES = (
    "1 + 1",
    "x = 1\ny = 2\n",
    "print('a % b'.split('%'))",
    "for i in range(3):\n    print(i)",
    "who",
    "who = 3",
    "who\n",
    "pwd;",
    "ls -l",
    "cd /tmp",
    "exit",
    "exit()",
    "!ls",
    "x = !ls",
    "%time 1",
    "x = %who",
    "%%time\n1",
    "print?",
    "?print",
    "  indented = 1\n  more = 2",
    "\n\n  x = 1",
    "\t1",
    ">>> 1 + 1\n2",
    ">>> def f():\n...     pass",
    "In [1]: 1 + 1",
    "/print 1",
    ",print a b",
    ";print a b",
    "...",
    "x = (1\n; 2)",
    "f(1)\r\ng(2)\r\n",
    "a\x0cb",
    "",
    " ",
    "# only a comment",
    "été = 1",
    "'''\n%who\n'''",
    "run(script)",
    "time.sleep(0)",
    "history = [1]",
)
COMPARE = """
from IPython.core.interactiveshell import InteractiveShell
_shell = get_ipython()
def _both(code):
    answers = []
    for transform in (_shell.transform_cell, lambda code: InteractiveShell.transform_cell(_shell, code)):
        try:
            answers.append(transform(code))
        except SyntaxError as error:
            answers.append(repr(error))
    return answers
"""


@pytest.mark.parametrize("code", CODES)
def test_code_is_transformed_as_ipython_does_it(agent: AgentClient, code: str) -> None:
    agent.run(COMPARE)
    assert agent.run(f"ours, theirs = _both({code!r}); print(ours == theirs or [ours, theirs])").text == "True"


def test_transform_that_the_user_adds_is_used(agent: AgentClient) -> None:
    agent.run("get_ipython().input_transformers_cleanup.append(lambda lines: [line.replace('six', '6') for line in lines])")
    assert agent.run("print(six * 7)").text == "42"


def test_macro_that_the_user_defines_runs_by_its_name(agent: AgentClient) -> None:
    agent.run("print('macro ran')")
    agent.run("%macro -q again 1")
    assert agent.run("again").text == "macro ran"


def test_magic_that_the_user_defines_runs_by_its_name(agent: AgentClient) -> None:
    agent.run(
        "from IPython.core.magic import register_line_magic\n@register_line_magic\ndef shout(line):\n    print(line.upper())\ndel shout"
    )
    assert agent.run("shout hello").text == "HELLO"


def test_formatter_that_the_user_gives_to_a_plain_type_is_used(agent: AgentClient) -> None:
    agent.run("get_ipython().display_formatter.formatters['text/plain'].for_type(int, lambda n, p, c: p.text(f'<{n}>'))")
    assert agent.run("42").text == "<42>"


def test_picture_that_the_user_gives_to_a_plain_type_is_shown(agent: AgentClient) -> None:
    agent.run("get_ipython().display_formatter.formatters['image/svg+xml'].for_type(int, lambda n: f'<svg>{n}</svg>')")
    assert list(agent.run("42").images.values()) == [("image/svg+xml", b"<svg>42</svg>")]


@pytest.mark.parametrize(("code", "shown"), [("1; 2", "2"), ("'a;b'", "'a;b'"), ("1 + 1;  # done", ""), ("'x;'", "'x;'")])
def test_only_a_semicolon_at_the_end_hides_the_value(agent: AgentClient, code: str, shown: str) -> None:
    assert agent.run(code).text == shown


def test_word_that_holds_await_runs_as_it_did(agent: AgentClient) -> None:
    assert agent.run("awaited = 1\nawaited + 1").text == "2"
    assert agent.run("import asyncio\nawait asyncio.sleep(0, 'slept')").text == "'slept'"
    assert agent.run("async def numbers():\n    yield 1\n[n async for n in numbers()]").text == "[1]"


def test_kernel_that_waited_for_its_first_call_shows_no_trace_of_it(agent: AgentClient) -> None:
    listed = agent.run("print(sorted(name for name in globals() if not name.startswith('_')), In, Out)").text
    assert listed.startswith("['In', 'Out', 'exit', 'get_ipython', 'open', 'quit'] ['', ")


def test_values_are_shown_as_ipython_shows_them(agent: AgentClient) -> None:
    plain = r"1, -2.5, 1e300, float('nan'), 2j, 'a\x85\n\u2028ü', b'\n', True, None, ..., {1: 2}, (1,)"
    agent.run(f"class Count(int):\n    pass\nvalues = [{plain}, Count(3)]")
    agent.run("text = get_ipython().display_formatter.formatters['text/plain']")
    shown = "[get_ipython().display_formatter.format(value)[0]['text/plain'] == text(value) for value in values]"
    assert agent.run(f"print(all({shown}))").text == "True"


def test_number_that_is_too_long_to_be_shown_says_so(agent: AgentClient) -> None:
    reply = agent.run("10 ** 5000")
    assert "ValueError: Exceeds the limit" in reply.stdout.decode() + reply.stderr.decode()


def test_precision_that_the_user_asks_for_is_used(agent: AgentClient) -> None:
    agent.run("%precision 2")
    assert agent.run("0.12345").text == "0.12"
