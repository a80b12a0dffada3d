"""executeCode for Python: what runs, what is kept between calls, and what comes back."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from running_server import Json, ServedSession, texts

DASHES = "-" * 75


def lines(*parts: str) -> str:
    return "\n".join(parts)


def test_hello_world_has_the_recorded_shape(session: ServedSession) -> None:
    result = session.run("print('Hello World!!!')")
    seconds = result["structuredContent"].pop("executionTime")
    assert result == {
        "content": [{"type": "text", "text": "Hello World!!!"}],
        "structuredContent": {"stdout": "Hello World!!!", "stderr": "", "exitCode": 0},
        "isError": False,
    }
    assert isinstance(seconds, float)
    assert 0 < seconds < 10, "seconds, although the model's text says milliseconds"


@pytest.mark.parametrize(
    ("code", "stdout"),
    [
        ("print('a\\n\\n \\t\\n')", "a"),
        ("print('   a\\n0  1')", "   a\n0  1"),
        ("print('\\n\\na')", "\n\na"),
        ("print('a\\r\\nb')", "a\r\nb"),
        ("print('', end='')", ""),
    ],
)
def test_only_trailing_whitespace_is_stripped(session: ServedSession, code: str, stdout: str) -> None:
    result = session.run(code)
    assert texts(result) == [stdout]
    assert result["structuredContent"]["stdout"] == stdout


def test_code_that_prints_nothing_gives_one_empty_text(session: ServedSession) -> None:
    assert session.run("x = 1")["content"] == [{"type": "text", "text": ""}]


def test_empty_code_runs(session: ServedSession) -> None:
    assert session.run("")["content"] == [{"type": "text", "text": ""}]


def test_failing_code_is_a_result_with_ipython_s_traceback(session: ServedSession) -> None:
    result = session.run("1/0")
    expected = lines(
        DASHES,
        "ZeroDivisionError                         Traceback (most recent call last)",
        "Cell In[1], line 1",
        "----> 1 1/0",
        "",
        "ZeroDivisionError: division by zero",
    )
    assert texts(result) == [expected]
    assert result["structuredContent"]["stderr"] == expected
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 1)


def test_number_of_the_cell_counts_the_calls(session: ServedSession) -> None:
    session.run("x = 1")
    session.run("y = 2")
    assert "Cell In[3], line 2\n" in session.run("z = 3\n1/0")["structuredContent"]["stderr"]


def test_traceback_shows_the_lines_around_and_the_frames_below(session: ServedSession) -> None:
    stderr = session.run("def f(x):\n    y = x\n    return 1 / y\n\nf(0)\n")["structuredContent"]["stderr"]
    assert "----> 5 f(0)" in stderr
    assert "----> 3     return 1 / y" in stderr
    assert "\x1b" not in stderr, "no colours"


def test_output_before_a_failure_comes_first(session: ServedSession) -> None:
    result = session.run("print('before')\n1/0")
    assert texts(result)[0] == "before"
    assert texts(result)[1].startswith(DASHES)
    assert result["structuredContent"]["stdout"] == "before"


def test_syntax_error_names_its_line(session: ServedSession) -> None:
    result = session.run("x = 1\ny = = 2")
    assert result["isError"] is True
    assert "Cell In[1], line 2" in texts(result)[0]
    assert "SyntaxError: invalid syntax" in texts(result)[0]


def test_stderr_of_code_that_succeeds_is_a_block_of_its_own(session: ServedSession) -> None:
    result = session.run("import sys\nprint('out')\nprint('err', file=sys.stderr)")
    assert (texts(result), result["isError"]) == (["out", "err"], False)
    assert result["structuredContent"]["stderr"] == "err"


def test_warnings_do_not_make_an_error(session: ServedSession) -> None:
    result = session.run("import warnings; warnings.warn('careful'); print('done')")
    assert result["isError"] is False
    assert "careful" in result["structuredContent"]["stderr"]


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("6 * 7", "42"),
        ("'a'", "'a'"),
        ("print('printed')\n6 * 7", "printed\n42"),
        ("6 * 7;", ""),
        ("None", ""),
        ("import pandas as pd\npd.DataFrame({'a': [1, 2]})", "   a\n0  1\n1  2"),
        ("for i in range(2):\n    i", ""),
    ],
)
def test_value_of_a_last_expression_follows_the_printed_text(session: ServedSession, code: str, shown: str) -> None:
    assert session.printed(code) == shown


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("import asyncio\nprint(await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2)))", "[1, 2]"),
        ("import asyncio\nasync def f():\n    return 3\nprint(asyncio.run(f()))", "3"),
        ("async def numbers():\n    yield 1\nasync for number in numbers():\n    print(number)", "1"),
    ],
)
def test_await_works_at_the_top_level_and_asyncio_run_too(session: ServedSession, code: str, shown: str) -> None:
    assert session.printed(code) == shown


def test_variables_imports_and_functions_are_kept_between_calls(session: ServedSession) -> None:
    session.printed("import math\nx = 2\ndef area(r):\n    return math.pi * r ** x")
    assert session.printed("print(round(area(3), 3))") == "28.274"


def test_variables_are_kept_after_a_failure(session: ServedSession) -> None:
    session.run("x = 5\n1/0")
    assert session.printed("print(x)") == "5"


def test_clear_context_forgets_variables_before_the_code_runs(session: ServedSession) -> None:
    session.printed("x = 1")
    result = session.run("x", clearContext=True)
    assert result["isError"] is True
    assert "NameError: name 'x' is not defined" in texts(result)[0]


def test_clear_context_keeps_files(session: ServedSession) -> None:
    session.printed("open('kept', 'w').write('1')")
    assert session.printed("print(open('kept').read())", clearContext=True) == "1"


def test_clear_context_false_keeps_variables(session: ServedSession) -> None:
    session.printed("x = 1")
    assert session.printed("print(x)", clearContext=False) == "1"


@pytest.mark.parametrize("code", ["x = 10", "for i in range(3):\n    pass\nelse:\n    y = i", "# only a comment"])
def test_code_may_define_things_without_showing_any(session: ServedSession, code: str) -> None:
    assert session.printed(code) == ""


def test_shell_line_prints_into_the_output(session: ServedSession) -> None:
    assert session.printed("!echo one; echo two\nprint('three')") == "one\ntwo\nthree"


def test_shell_line_can_be_taken_into_a_variable(session: ServedSession) -> None:
    assert session.printed("names = !printf 'a\\nb\\n'\nprint(len(names))") == "2"


def test_timeit_magic_measures(session: ServedSession) -> None:
    assert "per loop" in session.printed("%timeit -n 10 -r 1 sum(range(10))")


def test_pip_magic_finds_what_is_preinstalled(session: ServedSession) -> None:
    assert "already satisfied" in session.printed("%pip install requests")


def test_cell_magic_writes_a_file(session: ServedSession) -> None:
    session.printed("%%writefile note.txt\nhello")
    assert session.printed("print(open('note.txt').read())") == "hello"


def test_unknown_magic_fails_with_its_name(session: ServedSession) -> None:
    result = session.run("%nosuchmagic")
    assert "nosuchmagic" in "".join(texts(result))


def test_current_directory_is_the_workspace(session: ServedSession) -> None:
    session.printed("open('made.txt', 'w').write('here')")
    assert [block["name"] for block in session.invoke("listFiles")["content"]] == ["made.txt"]


@pytest.mark.parametrize(("code", "exit_code"), [("exit()", 0), ("import sys; sys.exit(3)", 3), ("raise SystemExit", 0)])
def test_exit_ends_the_code_with_its_status_and_keeps_the_variables(session: ServedSession, code: str, exit_code: int) -> None:
    session.printed("x = 1")
    result = session.run(f"print('before')\n{code}\nprint('after')")
    assert (result["structuredContent"]["exitCode"], result["isError"]) == (exit_code, exit_code != 0)
    assert texts(result) == ["before"]
    assert session.printed("print(x)") == "1"


@pytest.mark.parametrize("code", ["exit", "quit"])
def test_exit_without_parentheses_ends_the_code(session: ServedSession, code: str) -> None:
    assert session.printed(code) == ""


def test_input_has_nobody_to_ask(session: ServedSession) -> None:
    result = session.run("input('name? ')")
    assert result["isError"] is True
    assert "EOFError" in texts(result)[-1]


def test_failure_of_a_thread_is_shown_and_the_code_goes_on(session: ServedSession) -> None:
    code = (
        "import threading\ndef fail():\n    raise ValueError('in a thread')\nt = threading.Thread(target=fail); t.start(); t.join()\nx = 1"
    )
    assert "in a thread" in session.run(code)["structuredContent"]["stderr"]
    assert session.printed("print(x)") == "1"


def test_child_process_prints_into_the_output(session: ServedSession) -> None:
    code = "import subprocess\nprint('first', flush=True)\nsubprocess.run(['echo', 'second'])\nprint('third')"
    assert session.printed(code).splitlines()[:3] == ["first", "second", "third"]


def test_processes_of_a_pool_work(session: ServedSession) -> None:
    code = "from multiprocessing import Pool\ndef f(x):\n    return x * x\nwith Pool(2) as p:\n    print(p.map(f, [1, 2, 3]))"
    assert session.printed(code) == "[1, 4, 9]"


def test_random_numbers_differ_between_sessions(session: ServedSession) -> None:
    code = "import random, numpy, uuid\nprint(random.random(), numpy.random.rand(), uuid.uuid4())"
    with session.server.session() as other:
        assert not set(session.printed(code).split()) & set(other.printed(code).split())


def test_code_of_100_kb_runs(session: ServedSession) -> None:
    assert session.printed("print(1)" + "#" * (102_400 - 8)) == "1"


def test_code_of_one_byte_more_is_refused_with_the_limit(session: ServedSession) -> None:
    error = session.refused("executeCode", language="python", code="é" * 51_200 + "#")
    assert error["Error"]["Code"] == "ValidationException"
    assert "102401" in error["Error"]["Message"]
    assert "102400" in error["Error"]["Message"]


@pytest.mark.parametrize("text", ["naïve 日本語 🎉", "\u202e‮", "a\\u0000b", "\x7f\x1b[31m"])
def test_any_characters_go_in_and_out(session: ServedSession, text: str) -> None:
    assert session.printed(f"print({text!r})") == text


def test_lone_surrogates_and_invalid_utf_8_are_replaced(session: ServedSession) -> None:
    assert (
        session.printed("import sys\nsys.stdout.flush()\nsys.stdout.buffer.write(b'a\\xffb\\n')\nsys.stdout.buffer.flush()\nNone")
        == "a\ufffdb"
    )


PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nprint('plotted')\nplt.show()"


def images(result: Json) -> list[Json]:
    return [block for block in result["content"] if block["type"] == "image"]


def test_shown_figure_is_a_png_block_after_the_text(session: ServedSession) -> None:
    result = session.run(PLOT)
    assert [block["type"] for block in result["content"]] == ["text", "image"]
    assert result["content"][0]["text"] == "plotted"
    (image,) = images(result)
    assert set(image) == {"type", "data", "mimeType"}
    assert (image["mimeType"], image["data"][:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")


def test_figure_without_text_comes_after_an_empty_text(session: ServedSession) -> None:
    result = session.run("import matplotlib.pyplot as plt\nplt.plot([1]);\nplt.show()")
    assert [block["type"] for block in result["content"]] == ["text", "image"]
    assert result["content"][0]["text"] == ""


def test_several_figures_come_in_their_order(session: ServedSession) -> None:
    code = (
        "import matplotlib.pyplot as plt\nfor size in (1, 5):\n"
        "    plt.figure(figsize=(size, 1), dpi=100)\n    plt.plot([1])\n    plt.show()"
    )
    widths = [int.from_bytes(image["data"][16:20], "big") for image in images(session.run(code))]
    assert len(widths) == 2
    assert widths[0] < widths[1]


def test_displayed_image_is_a_block(session: ServedSession) -> None:
    code = "from PIL import Image\nfrom IPython.display import display\ndisplay(Image.new('RGB', (3, 2)))"
    (image,) = images(session.run(code))
    assert image["mimeType"] == "image/png"


def test_figure_before_a_failure_is_kept(session: ServedSession) -> None:
    result = session.run(PLOT + "\n1/0")
    assert [block["type"] for block in result["content"]] == ["text", "text", "image"]
    assert result["isError"] is True


def test_saved_figure_can_be_printed_as_base64_as_the_guide_does(session: ServedSession) -> None:
    code = (
        "import base64, io, matplotlib.pyplot as plt\nplt.bar(['Q1', 'Q2'], [1, 2])\nbuffer = io.BytesIO()\n"
        "plt.savefig(buffer, format='png', dpi=150)\nprint(base64.b64encode(buffer.getvalue()).decode())"
    )
    assert base64.b64decode(session.printed(code)).startswith(b"\x89PNG")


def test_no_glyph_is_missing_from_plots_of_chinese_japanese_and_korean(session: ServedSession) -> None:
    result = session.run("import matplotlib.pyplot as plt\nplt.title('売上 매출 销售')\nplt.plot([1])\nplt.show()")
    assert not re.search("Glyph .* missing", result["structuredContent"]["stderr"])


@pytest.mark.parametrize("modules", ["numpy, pandas, scipy, sklearn", "duckdb, polars, openpyxl, requests, bs4, yaml"])
def test_libraries_that_clients_expect_are_there(session: ServedSession, modules: str) -> None:
    assert session.printed(f"import {modules}\nprint('there')") == "there"


def test_every_result_says_how_long_it_took(session: ServedSession) -> None:
    result: dict[str, Any] = session.run("import select; select.select([], [], [], 0.3)")
    assert result["structuredContent"]["executionTime"] >= 0.3
