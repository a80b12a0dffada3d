"""What a user of the Python kernel sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cell.client import AgentClient, AgentTemplate

FIRST_LINE = "-" * 75


def test_last_value_is_shown_without_a_prompt(agent: AgentClient) -> None:
    assert agent.run("1 + 1").stdout == b"2\n"


def test_value_of_several_lines_starts_in_the_first_column(agent: AgentClient) -> None:
    reply = agent.run("import pandas as pd\npd.DataFrame({'number': [1, 2]})")
    assert reply.text.splitlines() == ["   number", "0       1", "1       2"]


def test_semicolon_hides_the_last_value(agent: AgentClient) -> None:
    assert agent.run("1 + 1;").stdout == b""


def test_value_follows_what_was_printed(agent: AgentClient) -> None:
    assert agent.run("print('printed', end='\\n\\n')\n'value'").stdout == b"printed\n\n'value'\n"


def test_display_prints_text(agent: AgentClient) -> None:
    assert agent.run("display(1)\ndisplay({'a': 1})").stdout == b"1\n{'a': 1}\n"


def test_first_code_finds_nothing_that_ran_before_it(agent: AgentClient) -> None:
    code = "print(In[:-1], repr(_i), repr(_ii), Out, get_ipython().execution_count, [name for name in dir() if name.startswith('_i')])"
    assert agent.run(code).text == "[''] '' '' {} 2 ['_i', '_i1', '_ih', '_ii', '_iii']"


def test_variables_last_between_calls(agent: AgentClient) -> None:
    agent.run("x = 41")
    assert agent.run("x + 1").text == "42"


def test_last_value_is_underscore(agent: AgentClient) -> None:
    agent.run("6 * 7")
    assert agent.run("_").text == "42"


def test_clear_context_forgets_variables_and_counts_from_one(agent: AgentClient) -> None:
    agent.run("x = 1")
    reply = agent.run("x", clear_context=True)
    assert reply.meta["exit_code"] == 1
    assert b"Cell In[1], line 1" in reply.stderr
    assert b"NameError: name 'x' is not defined" in reply.stderr


def test_clear_context_keeps_files(agent: AgentClient) -> None:
    agent.run("open('kept', 'w').write('kept'); None")
    assert agent.run("open('kept').read()", clear_context=True).text == "'kept'"


def test_first_call_of_a_kernel_is_number_one(agent: AgentClient) -> None:
    assert b"Cell In[1], line 1" in agent.run("1 / 0").stderr
    assert b"Cell In[2], line 1" in agent.run("1 / 0").stderr


def test_traceback_is_plain_text_on_standard_error(agent: AgentClient) -> None:
    reply = agent.run("print('before')\n\n1 / 0")
    assert reply.stdout == b"before\n"
    assert reply.stderr.decode().splitlines() == [
        FIRST_LINE,
        "ZeroDivisionError                         Traceback (most recent call last)",
        "Cell In[1], line 3",
        "      1 print('before')",
        "----> 3 1 / 0",
        "",
        "ZeroDivisionError: division by zero",
    ]
    assert not reply.stderr.endswith(b"\n")
    assert reply.meta["exit_code"] == 1
    assert reply.meta["outcome"] == "done"


def test_traceback_reaches_into_functions_of_earlier_calls(agent: AgentClient) -> None:
    agent.run("def divide(a, b):\n    return a / b")
    reply = agent.run("divide(1, 0)")
    assert b"Cell In[2], line 1" in reply.stderr
    assert b"Cell In[1], line 2, in divide(a, b)" in reply.stderr


def test_syntax_error_shows_the_line(agent: AgentClient) -> None:
    reply = agent.run("x = 1\ny = = 2")
    assert reply.meta["exit_code"] == 1
    assert b"Cell In[1], line 2" in reply.stderr
    assert reply.stderr.endswith(b"SyntaxError: invalid syntax")


def test_group_of_exceptions_is_shown(agent: AgentClient) -> None:
    reply = agent.run("raise ExceptionGroup('several', [ValueError('one'), TypeError('two')])")
    assert b"ValueError: one" in reply.stderr
    assert b"TypeError: two" in reply.stderr


def test_top_level_await_works(agent: AgentClient) -> None:
    assert agent.run("import asyncio\nawait asyncio.sleep(0, 'slept')").text == "'slept'"


def test_asyncio_run_works_after_a_top_level_await(agent: AgentClient) -> None:
    agent.run("import asyncio\nawait asyncio.sleep(0)")
    assert agent.run("async def answer(): return 42\nasyncio.run(answer())").text == "42"
    assert agent.run("await asyncio.sleep(0, 'again')").text == "'again'"


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("import sys; sys.exit(3)", 3),
        ("exit(3)", 3),
        ("quit(4)", 4),
        ("exit", 0),
        ("quit()", 0),
        ("raise SystemExit", 0),
        ("import sys; sys.exit(256 + 5)", 5),
    ],
)
def test_exit_ends_the_code_and_keeps_the_variables(agent: AgentClient, code: str, exit_code: int) -> None:
    agent.run("x = 'kept'")
    reply = agent.run(code)
    assert (reply.meta["exit_code"], reply.stdout, reply.stderr, reply.meta["outcome"]) == (exit_code, b"", b"", "done")
    assert agent.run("x").text == "'kept'"


def test_exit_with_a_message_prints_it(agent: AgentClient) -> None:
    reply = agent.run("import sys; sys.exit('no data')")
    assert (reply.meta["exit_code"], reply.stderr) == (1, b"no data\n")


def test_input_says_that_nobody_answers(agent: AgentClient) -> None:
    reply = agent.run("input('name? ')")
    assert b"EOFError: input('name? ') has nobody to ask" in reply.stderr
    assert agent.run("import sys; sys.stdin.read()").text == "''"


def test_shell_command_prints_in_order_with_the_code(agent: AgentClient) -> None:
    reply = agent.run("print('one', end=' ')\n!echo two; echo error >&2\nprint('three')")
    assert (reply.stdout, reply.stderr) == (b"one two\nthree\n", b"error\n")


def test_shell_command_sees_variables_and_has_no_terminal(agent: AgentClient) -> None:
    assert agent.run("word = 'hello'\n!echo {word}; test -t 1 || echo plain").stdout == b"hello\nplain\n"


def test_shell_command_gives_its_lines(agent: AgentClient) -> None:
    assert agent.run("lines = !printf 'a\\nb\\n'\nlist(lines)").text == "['a', 'b']"


def test_bash_cell_works(agent: AgentClient) -> None:
    assert agent.run("%%bash\nfor i in 1 2; do echo $i; done").stdout == b"1\n2\n"


def test_pip_magic_runs_the_kernels_pip(agent: AgentClient) -> None:
    reply = agent.run("%pip --version")
    assert reply.meta["exit_code"] == 0
    assert reply.text.startswith("pip ")


@pytest.mark.parametrize("magic", ["%timeit -n1 -r1 1", "%%time\n1", "%who", "%cd /tmp", "%env", "%precision 3", "%matplotlib inline"])
def test_common_magics_work(agent: AgentClient, magic: str) -> None:
    reply = agent.run(magic)
    assert (reply.meta["exit_code"], reply.stderr) == (0, b"")


def test_unknown_magic_is_an_error(agent: AgentClient) -> None:
    reply = agent.run("%no_such_magic")
    assert reply.meta["exit_code"] == 1
    assert b"no_such_magic" in reply.stderr


def test_modules_of_the_workspace_can_be_imported(agent: AgentClient) -> None:
    agent.write({"mine.py": b"VALUE = 42"})
    assert agent.run("import mine\nmine.VALUE").text == "42"


def test_source_of_a_function_of_an_earlier_call_is_known(agent: AgentClient) -> None:
    agent.run("def f():\n    return 'source'")
    assert agent.run("import inspect\nprint(inspect.getsource(f))").text == "def f():\n    return 'source'"


def test_functions_of_the_code_can_be_pickled(agent: AgentClient) -> None:
    agent.run("def f(): return 42")
    assert agent.run("import pickle\npickle.loads(pickle.dumps(f))()").text == "42"


def test_main_module_is_the_users(agent: AgentClient) -> None:
    assert agent.run("__name__").text == "'__main__'"
    assert agent.run("import __main__; x = 1; __main__.x").text == "1"


def test_environment_is_the_configured_one_and_nothing_else(agent: AgentClient) -> None:
    reply = agent.run("import os\nsorted(os.environ)")
    assert reply.text == "['HOME', 'LANG', 'MPLCONFIGDIR', 'PATH']"


def test_working_directory_is_the_workspace_and_a_change_lasts(agent: AgentClient) -> None:
    assert agent.run("import os; os.getcwd()").text == repr(str(agent.workspace))
    agent.run("os.mkdir('below'); os.chdir('below')")
    assert agent.run("os.getcwd()").text == repr(str(agent.workspace / "below"))


def test_nothing_is_written_to_the_home_directory(agent: AgentClient) -> None:
    home = agent.run("import os; print(os.environ['HOME'])").text
    agent.run("%cd .\n%bookmark here\n!true")
    assert list(Path(home).iterdir()) == []


def test_workspace_is_empty_at_first(agent: AgentClient) -> None:
    agent.run("1")
    assert list(agent.workspace.iterdir()) == []


def test_kernel_has_only_its_streams_and_its_connection(agent: AgentClient) -> None:
    code = "import os\n{n: os.readlink(f'/proc/self/fd/{n}').split(':')[0] for n in map(int, os.listdir('/proc/self/fd')[:-1])}"
    found = agent.run(code).text.replace("\n", "")
    assert found == "{0: '/dev/null', 1: 'pipe', 2: 'pipe', 3: 'socket', 4: 'pipe', 5: 'pipe'}"


def test_copies_of_the_streams_are_the_streams(agent: AgentClient) -> None:
    assert agent.run("import os\n[os.path.sameopenfile(1, 4), os.path.sameopenfile(2, 5)]").text == "[True, True]"


def test_programs_of_the_code_get_the_streams_only(agent: AgentClient) -> None:
    assert agent.run("!ls /proc/self/fd").text.split() == ["0", "1", "2", "3"]  # 3 is the directory being listed


def test_thread_prints_into_its_call(agent: AgentClient) -> None:
    assert agent.run("import threading\nt = threading.Thread(target=print, args=('thread',)); t.start(); t.join()").stdout == b"thread\n"


def test_processes_of_multiprocessing_work(agent: AgentClient) -> None:
    code = "from multiprocessing import Pool\ndef square(x): return x * x\nwith Pool(2) as pool: print(pool.map(square, [1, 2, 3]))"
    assert agent.run(code).stdout == b"[1, 4, 9]\n"


def test_subprocess_inherits_the_streams(agent: AgentClient) -> None:
    reply = agent.run("import subprocess\nsubprocess.run(['sh', '-c', 'echo out; echo err >&2']); None")
    assert (reply.stdout, reply.stderr) == (b"out\n", b"err\n")


def test_forked_process_that_returns_from_the_code_ends_there(agent: AgentClient) -> None:
    reply = agent.run("import os, sys\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('parent' if pid else 'child')")
    assert reply.stdout == b"child\nparent\n"
    assert agent.run("'alive'").text == "'alive'"


def test_forked_process_gives_its_exit_code_to_its_parent(agent: AgentClient) -> None:
    code = "import os, sys\npid = os.fork()\nif not pid: sys.exit(5)\nos.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])"
    assert agent.run(code).text == "5"


@pytest.mark.parametrize(
    "code",
    [
        "import random; random.random()",
        "import random; random.SystemRandom().random()",
        "import numpy; numpy.random.random()",
        "import numpy; numpy.random.default_rng().random()",
        "import uuid; uuid.uuid4()",
        "import uuid; uuid.uuid1()",
        "import secrets; secrets.token_hex()",
        "import os; os.urandom(8)",
        "import ssl; ssl.RAND_bytes(8)",
        "import tempfile; tempfile.mktemp(dir='/x')",
    ],
)
def test_no_two_kernels_share_randomness(agent: AgentClient, template: AgentTemplate, tmp_path: Path, code: str) -> None:
    with template.agent(tmp_path) as other:
        values = [agent.run(code).text, agent.run(code, clear_context=True).text, other.run(code).text]
    assert len(set(values)) == 3


def test_code_that_is_empty_or_blank_does_nothing(agent: AgentClient) -> None:
    assert [agent.run(code).meta["exit_code"] for code in ("", "  \n", "# comment")] == [0, 0, 0]


def test_code_of_a_hundred_kilobytes_runs(agent: AgentClient) -> None:
    code = "\n".join(f"x{i} = {i}" for i in range(8000))
    assert len(code) > 100_000
    assert agent.run(f"{code}\nx7999").text == "7999"


def test_code_that_is_not_unicode_text_is_a_syntax_error_or_runs(agent: AgentClient) -> None:
    assert agent.run("'\ud800'").meta["outcome"] == "done"
    assert agent.run("x = 1\0").meta["exit_code"] == 1
    assert agent.run("'alive'").text == "'alive'"


def test_unknown_runtime_is_refused(agent: AgentClient) -> None:
    assert agent.run("1", runtime="cobol").error == "unknown_runtime"


def test_kernel_may_look_at_its_own_process(agent: AgentClient) -> None:
    assert agent.run("open('/proc/self/maps').readline() != ''").text == "True"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose agent's file stays its own")
def test_memory_killer_takes_user_code_first(agent: AgentClient) -> None:
    assert agent.run("int(open('/proc/self/oom_score_adj').read())").text == "1000"
    assert agent.command("until grep -q 1000 /proc/$$/oom_score_adj; do :; done", timeout_seconds=5).meta["exit_code"] == 0
    assert Path(f"/proc/{agent.pid}/oom_score_adj").read_text().strip() == Path("/proc/self/oom_score_adj").read_text().strip()


def test_a_thousand_shown_values_bring_no_word_about_a_cache(agent: AgentClient) -> None:
    agent.run("get_ipython().displayhook.cache_size = 3")
    replies = [agent.run(str(number)) for number in range(6)]
    assert [(reply.stdout, reply.stderr) for reply in replies] == [(b"%d\n" % number, b"") for number in range(6)]
