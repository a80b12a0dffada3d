"""How the kernels of JavaScript and TypeScript live, are stopped, and die: as Python's do."""

from __future__ import annotations

import pytest

from cellblock.model.calls import Run
from cells import MIB, Bench, BenchCell
from languages.running import Program, fill, run, run_code

LOST = "The variables are lost, files are kept; the next call starts afresh."
ENDLESS = {
    "loop": "while (true) {}",
    "loop-after-await": "await new Promise((resolve) => setTimeout(resolve, 1)); while (true) {}",
    "loop-in-a-promise": "Promise.resolve().then(() => { while (true) {} });",
    "loop-of-awaits": "for (;;) await null;",
    "loop-that-catches": "while (true) { try { for (;;); } catch {} finally {} }",
    "loop-of-timers": "for (;;) await new Promise((resolve) => setTimeout(resolve, 1));",
    "long-wait": "await new Promise((resolve) => setTimeout(resolve, 1e6));",
    "interval": "setInterval(() => {}, 5);",
    "sleep-of-a-thread": "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);",
    "child-process": "require('child_process').execSync('sleep 100');",
    "regular-expression": "/^(a+)+$/.test('a'.repeat(40) + 'b');",
}


@pytest.fixture(params=["nodejs", "deno"])
def runtime(request: pytest.FixtureRequest) -> str:
    """Each runtime of JavaScript."""
    name: str = request.param
    return name


def javascript(cell: BenchCell, runtime: str, code: str, **options: float) -> Run:
    """One call."""
    return run(cell, Program(code, "javascript", runtime), **options)


@pytest.mark.parametrize("code", ENDLESS.values(), ids=ENDLESS)
def test_timeout_interrupts_and_keeps_variables(cell: BenchCell, runtime: str, code: str) -> None:
    javascript(cell, runtime, "const kept = 1;")
    done = javascript(cell, runtime, f"console.log('before');\n{code}", timeout_seconds=0.3)
    assert (done.outcome, done.exit_code, done.stdout, done.note) == ("timeout", 124, b"before\n", "")
    after = javascript(cell, runtime, "kept")
    assert (after.stdout, after.stderr, after.outcome) == (b"1\n", b"", "done")


def test_endless_reads_are_interrupted_on_node(cell: BenchCell) -> None:
    javascript(cell, "nodejs", "const kept = 1;")
    done = javascript(cell, "nodejs", "for (;;) await require('fs').promises.stat('/');", timeout_seconds=0.3)
    assert (done.outcome, done.note) == ("timeout", "")
    assert javascript(cell, "nodejs", "kept").stdout == b"1\n"


def test_endless_reads_end_on_deno(cell: BenchCell) -> None:
    done = javascript(cell, "deno", "for (;;) await require('fs').promises.stat('/');", timeout_seconds=0.3)
    killed = f"The code did not stop when it was interrupted, so the kernel was killed. {LOST}"
    assert (done.outcome, done.note in ("", killed)) == ("timeout", True)
    assert javascript(cell, "deno", "1 + 1", timeout_seconds=5).stdout == b"2\n"


def test_code_that_cannot_be_interrupted_is_killed(cell: BenchCell, runtime: str) -> None:
    done = javascript(cell, runtime, "setTimeout(() => { while (true) {} });", timeout_seconds=0.3)
    assert (done.outcome, done.exit_code) == ("timeout", 124)
    assert done.note == f"The code did not stop when it was interrupted, so the kernel was killed. {LOST}"
    assert javascript(cell, runtime, "1 + 1").stdout == b"2\n"


def test_canceled_call_is_interrupted(cell: BenchCell, runtime: str) -> None:
    fill(cell, ())
    javascript(cell, runtime, "const here = 1;")
    call = cell.begin(run_code(Program("require('fs').writeFileSync('begun', ''); while (true) {}", "javascript", runtime)))
    cell.command("until test -e begun; do sleep 0.01; done")
    call.cancel()
    assert javascript(cell, runtime, "here").stdout == b"1\n"


def test_nothing_of_an_interrupted_call_goes_on(cell: BenchCell, runtime: str) -> None:
    code = "let ticks = 0; for (;;) { await new Promise((resolve) => setTimeout(resolve, 1)); console.log(++ticks); }"
    javascript(cell, runtime, code, timeout_seconds=0.3)
    first = javascript(cell, runtime, "ticks").stdout
    assert int(first) > 0
    assert javascript(cell, runtime, "await new Promise((resolve) => setTimeout(resolve, 50)); ticks").stdout == first


@pytest.mark.parametrize("exit_code", [0, 3])
def test_process_exit_ends_the_call_and_the_kernel(cell: BenchCell, runtime: str, exit_code: int) -> None:
    javascript(cell, runtime, "var gone = 1;")
    done = javascript(cell, runtime, f"console.log('x'.repeat(1_000_000)); process.exit({exit_code});")
    assert (len(done.stdout), done.stderr, done.exit_code) == (1_000_001, b"", exit_code)
    assert done.outcome == ("killed" if exit_code else "done")
    assert done.note == f"The kernel ended with status {exit_code}. {LOST}"
    assert javascript(cell, runtime, "typeof gone").stdout == b"'undefined'\n"


def test_killed_kernel_is_told_and_replaced(cell: BenchCell, runtime: str) -> None:
    done = javascript(cell, runtime, "process.kill(process.pid, 'SIGABRT'); await new Promise((resolve) => setTimeout(resolve, 1e5));")
    assert (done.outcome, done.exit_code, done.note) == ("killed", 134, f"The kernel was killed by SIGABRT. {LOST}")
    assert javascript(cell, runtime, "1").stdout == b"1\n"


def test_death_between_two_calls_is_told(cell: BenchCell, runtime: str) -> None:
    pid = int(javascript(cell, runtime, "var gone = 1; process.pid").stdout)
    cell.command(f"kill -KILL {pid}; while kill -0 {pid}; do sleep 0.01; done")
    done = javascript(cell, runtime, "typeof gone")
    assert (done.outcome, done.stdout) == ("done", b"'undefined'\n")
    assert "variables of earlier calls are lost" in done.note


def test_awaited_promise_that_is_collected_does_not_cost_the_kernel(cell: BenchCell, runtime: str) -> None:
    """V8's inspector answers for it while the garbage is collected, where an answer would end the process."""
    javascript(cell, runtime, "var kept = 1;")
    for _ in range(3):
        assert javascript(cell, runtime, "await new Promise(() => {});").exit_code == (13 if runtime == "nodejs" else 1)
    garbage = "for (let i = 0; i < 300; i++) new Array(1e5).fill(i).map((one) => ({ one }));"
    assert javascript(cell, runtime, f"{garbage} kept").stdout == b"1\n"


def test_memory_limit_kills_the_kernel_and_not_the_session(bench: Bench, runtime: str) -> None:
    with bench.cell(memory_bytes=300 * MIB) as small:
        small.run("kept = 1")
        done = javascript(small, runtime, "const all = []; for (;;) all.push(Buffer.alloc(8 << 20, 1));", timeout_seconds=60)
        assert done.outcome == "killed"
        assert done.note.startswith("The session reached its memory limit of 300 MB")
        assert done.note.endswith(LOST)
        assert javascript(small, runtime, "1 + 1").stdout == b"2\n"
        left = small.run("kept")
        assert (left.stdout, left.stderr, left.note) == (b"1\n", b"", "")


def test_clear_context_clears_this_runtime_only(cell: BenchCell) -> None:
    cell.run("kept = 1")
    javascript(cell, "deno", "var kept = 2;")
    javascript(cell, "nodejs", "var kept = 3;")
    cleared = run(cell, Program("typeof kept", "javascript", "nodejs"), clear_context=True)
    assert (cleared.stdout, cleared.note) == (b"'undefined'\n", "")
    assert (cell.run("kept").stdout, javascript(cell, "deno", "kept").stdout) == (b"1\n", b"2\n")


def test_javascript_and_typescript_of_a_runtime_share_variables(cell: BenchCell, runtime: str) -> None:
    run(cell, Program("enum Kind { A, B }\nlet kind: Kind = Kind.B;", "typescript", runtime))
    assert javascript(cell, runtime, "Kind[kind]").stdout == b"'B'\n"


def test_files_environment_and_directory_are_shared(cell: BenchCell, runtime: str) -> None:
    fill(cell, ())
    cell.run("import pandas; pandas.DataFrame({'name': ['a', 'b'], 'n': [1, 2]}).to_csv('in.csv', index=False)")
    code = """
import { readFileSync, writeFileSync } from "node:fs";
const rows = readFileSync("in.csv", "utf8").trim().split("\\n").slice(1).map((line) => line.split(","));
writeFileSync("/workspace/out.json", JSON.stringify(rows.map(([name, n]) => ({ name, n: n * 10 }))));
console.log(process.cwd(), process.env.HOME, process.env.USER);
"""
    assert javascript(cell, runtime, code).stdout == b"/workspace /home/cell cell\n"
    cell.run("import matplotlib.pyplot as plt; table = pandas.read_json('out.json')")
    shown = cell.run("table.plot.bar(x='name', y='n'); plt.show(); table.n.sum()")
    assert [image.mime_type for image in shown.images] == ["image/png"]
    assert b"30" in shown.stdout


def test_output_of_many_megabytes_is_exact(cell: BenchCell, runtime: str) -> None:
    done = javascript(cell, runtime, "for (let i = 0; i < 40_000; i++) console.log(String(i).padStart(99, '.'));")
    assert done.stdout == b"".join(str(i).rjust(99, ".").encode() + b"\n" for i in range(40_000))


def test_kernel_has_the_limits_of_the_cell(cell: BenchCell, runtime: str) -> None:
    code = r"""
const lines = require("fs").readFileSync("/proc/self/status", "utf8").match(/^(Seccomp|NoNewPrivs|CapEff|Uid):.*/gm);
lines.join(" ").replace(/\s+/g, " ")
"""
    assert javascript(cell, runtime, code).stdout == b"'Uid: 1000 1000 1000 1000 CapEff: 0000000000000000 NoNewPrivs: 1 Seccomp: 2'\n"


def test_kernels_files_are_not_in_the_way(cell: BenchCell, runtime: str) -> None:
    fill(cell, ())
    assert javascript(cell, runtime, "require('fs').readdirSync('.').length").stdout == b"0\n"
    names = javascript(cell, runtime, "Object.keys(globalThis).filter((name) => /cellblock|_load_|import_/.test(name)).length")
    assert names.stdout == b"0\n"
    with_parser = javascript(cell, runtime, "try { require.resolve('acorn') } catch { console.log('not there') }")
    assert with_parser.stdout == b"not there\n"


def test_hundred_calls_leave_one_kernel(cell: BenchCell, runtime: str) -> None:
    first = javascript(cell, runtime, "process.pid").stdout
    for number in range(100):
        assert javascript(cell, runtime, f"{number}").stdout == f"{number}\n".encode()
    assert javascript(cell, runtime, "process.pid").stdout == first


def test_package_that_npm_installed_is_found(cell: BenchCell, runtime: str) -> None:
    fill(cell, ())
    made = cell.command(
        "mkdir -p /tmp/made && cd /tmp/made && "
        """echo '{"name": "tiny", "version": "1.0.0", "main": "main.js"}' > package.json && echo 'exports.answer = 42' > main.js && """
        "npm pack --silent && cd /workspace && npm install --offline --silent /tmp/made/tiny-1.0.0.tgz && ls"
    )
    assert made.stdout == b"tiny-1.0.0.tgz\nnode_modules\npackage-lock.json\npackage.json\n"
    shown = "console.log(answer, require('tiny').answer, (await import('tiny')).answer, require('lodash').add(1, 1));"
    code = f"import {{ answer }} from 'tiny';\n{shown}"
    done = javascript(cell, runtime, code, clear_context=True)
    assert (done.stdout, done.stderr) == (b"42 42 42 2\n", b"")


def test_kernel_outlives_what_code_does_to_the_globals(cell: BenchCell, runtime: str) -> None:
    names = ("console", "process", "__cellblock", "Promise", "setImmediate")
    code = "".join(f"globalThis.{name} = null; " for name in names) + "delete globalThis.require;"
    javascript(cell, runtime, code, clear_context=True)
    assert javascript(cell, runtime, "const URL = '', Error = '', Object = '', JSON = ''; class Math {}").stderr == b""
    assert javascript(cell, runtime, "class Number {}; 1 + 1").stdout == b"2\n"
    assert javascript(cell, runtime, "missing").stderr == b"Uncaught ReferenceError: missing is not defined\n    at call-4.js:1:1\n"
    assert javascript(cell, runtime, "typeof require", clear_context=True).stdout == b"'function'\n"


def test_thrown_errors_of_a_busy_cell_are_told_every_time(cell: BenchCell, runtime: str) -> None:
    """The inspector tells the kernel of an error wherever its thread is at that moment, in the kernel's own work too."""
    handled = "setTimeout(() => console.log('goes on'), 1);"
    javascript(cell, runtime, f"process.on('uncaughtException', () => {{ {handled} }});")
    busy = cell.begin_command("for worker in 1 2 3; do (while :; do :; done) & done; wait")
    for _ in range(80):
        assert javascript(cell, runtime, "throw new Error('mine');", timeout_seconds=5).stdout == b"goes on\n"
    busy.cancel()


def test_an_error_right_after_a_call_of_a_busy_cell_is_told(cell: BenchCell, runtime: str) -> None:
    """The news that the call before is over, and what is cleared up with it, may reach the kernel's control thread after the error."""
    javascript(cell, runtime, "1", clear_context=True)
    busy = cell.begin_command("for worker in 1 2 3; do (while :; do :; done) & done; wait")
    for _ in range(60):
        javascript(cell, runtime, "const kept = 1;")
        assert javascript(cell, runtime, "kept = 2;", timeout_seconds=5).stderr.startswith(b"Uncaught TypeError: Assignment to constant")
    busy.cancel()
