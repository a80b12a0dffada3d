"""What code does to its own kernel ends with a clear result in time, and neither the session nor a later call is harmed."""

from __future__ import annotations

import pytest

from cells import BenchCell
from languages.running import Program, fill, run, run_code

LOST = "The variables are lost, files are kept; the next call starts afresh."
NAMES = "['interrupt', 'isWell', 'refusal', 'place', 'expression', 'map', 'shift', 'end', 'kind', 'code', 'call', 'exceptionDetails']"
METHODS = "['begun', 'load', 'value']"
FAIL = "() => { throw new Error('replaced'); }"

# After these the kernel goes on as if nothing had happened.
BORNE = {
    "values-in-every-object": f"for (const name of {NAMES}) Object.prototype[name] = {{ message: 'forged' }};",
    "accessors-in-every-object": f"for (const n of {NAMES}) Object.defineProperty(Object.prototype, n, {{ get: () => 1, set() {{}} }});",
    "promise-then": f"Promise.prototype.then = {FAIL};",
    "json": f"JSON.stringify = JSON.parse = {FAIL};",
    "typed-arrays": f"for (const name of ['set', 'slice', 'subarray', 'fill']) Object.getPrototypeOf(Uint8Array.prototype)[name] = {FAIL};",
    "buffers": f"for (const name of ['alloc', 'allocUnsafe', 'concat', 'from']) Buffer[name] = {FAIL};",
    "timers": f"for (const name of ['setTimeout', 'setImmediate', 'clearTimeout']) globalThis[name] = require('timers')[name] = {FAIL};",
    "inspect-and-types": f"require('util').inspect = require('util').types.isPromise = {FAIL};",
    "handles": f"process._getActiveHandles = {FAIL};",
    "exits": "process.exit = process.reallyExit = process.abort = process.kill = () => {};",
    "frozen-prototypes": "for (const one of [Object, Array, Promise]) Object.freeze(one.prototype); undefined",
    "the-kernels-methods": f"for (const name of {METHODS}) Object.getPrototypeOf(__cellblock)[name] = {FAIL};",
    "the-kernels-properties": f"for (const name of {METHODS}) __cellblock[name] = {FAIL};",
    "the-kernel-itself": "globalThis.__cellblock = null; delete globalThis.__cellblock; var __cellblock = 1;",
    "calls-of-the-kernels-methods": "__cellblock.begun(); __cellblock.value('forged'); undefined",
    "forged-beginnings-of-later-calls": "setInterval(() => __cellblock.begun()).unref(); undefined",
    "promises-that-are-never-settled": "for (let i = 0; i < 1e5; i++) __cellblock.begun(); undefined",
    "promises-of-their-own-kind": "Promise.prototype.constructor = Promise[Symbol.species] = class {}; undefined",
    "text-of-every-object": "Object.prototype.toString = String.prototype.toString = () => 'forged';",
    "uncaught-exceptions-handler-removed": "process.removeAllListeners('uncaughtException');",
    "endless-values": "({ get [Symbol.toStringTag]() { throw null; } })[Symbol.iterator];",
    "debugger": "debugger;",
    "thread-that-exits": "new (require('worker_threads').Worker)('process.exit(5)', { eval: true }); undefined",
}
KILLED = f"The code did not stop when it was interrupted, so the kernel was killed. {LOST}"
ABORTED = f"The kernel was killed by SIGABRT. {LOST}"
FOREIGN = f"The kernel was killed because it sent a result of no run. {LOST}"
BROKEN = f"The kernel was killed because its connection to the session broke: frame of version 103, this side speaks 1. {LOST}"
FRAME = """
const meta = Buffer.from('{"exit_code":42}'), frame = Buffer.alloc(16);
frame.set([1, 5]); frame.writeUInt32BE(4_000_000_000, 4); frame.writeUInt32BE(meta.length, 8);
require('fs').writeSync(3, Buffer.concat([frame, meta])); await new Promise((resolve) => setTimeout(resolve, 1e6));
"""

# These cost the kernel, and the call says why.
ENDED = {
    "exit-that-is-prevented": ("process.on('exit', () => { throw new Error('no'); }); process.exit(3);", ABORTED, ("nodejs", "deno")),
    "exit-that-never-ends": ("process.on('exit', () => { while (true) {} }); process.exit(3);", KILLED, ("nodejs", "deno")),
    "stopped-process": ("process.kill(process.pid, 'SIGSTOP');", KILLED, ("nodejs", "deno")),
    "thread-that-never-ends": ("new (require('worker_threads').Worker)('for (;;);', { eval: true });", KILLED, ("nodejs", "deno")),
    "debugger-of-its-own": (
        "const { Session } = require('inspector'); var own = new Session(); own.connect(); own.post('Debugger.enable'); debugger;",
        KILLED,
        ("deno",),
    ),
    "garbage-for-the-agent": ("require('fs').writeSync(3, 'g'.repeat(64)); await new Promise(() => {});", BROKEN, ("nodejs",)),
    "result-of-another-call": (FRAME, FOREIGN, ("nodejs",)),
}


@pytest.fixture(params=["nodejs", "deno"])
def runtime(request: pytest.FixtureRequest) -> str:
    """Each runtime of JavaScript."""
    name: str = request.param
    return name


def attacked(cell: BenchCell, runtime: str, code: str, timeout_seconds: float = 10) -> tuple[str, str]:
    """How a call with this code ends, in a fresh kernel."""
    run(cell, Program("1", "javascript", runtime), clear_context=True)
    done = run(cell, Program(code, "javascript", runtime), timeout_seconds=timeout_seconds)
    return done.outcome, done.note


def results(cell: BenchCell, runtime: str) -> list[tuple[bytes, bytes, str]]:
    """What the calls after it give: a value, an error, an endless loop, and a value again."""
    codes = ("var kept = 2; kept", "throw 'mine'", "while (true) {}", "kept")
    calls = [run(cell, Program(code, "javascript", runtime), timeout_seconds=0.5 if "while" in code else 10) for code in codes]
    return [(done.stdout, done.stderr, f"{done.outcome} {done.note}".strip()) for done in calls]


EXPECTED = [(b"2\n", b"", "done"), (b"", b"Uncaught 'mine'\n", "done"), (b"", b"", "timeout"), (b"2\n", b"", "done")]


@pytest.mark.parametrize("code", BORNE.values(), ids=BORNE)
def test_kernel_bears_it(cell: BenchCell, runtime: str, code: str) -> None:
    assert attacked(cell, runtime, code) == ("done", "")
    assert results(cell, runtime) == EXPECTED


@pytest.mark.parametrize(
    ("code", "note", "runtime"),
    [(code, note, runtime) for code, note, runtimes in ENDED.values() for runtime in runtimes],
    ids=[f"{name}-{runtime}" for name, (_, _, runtimes) in ENDED.items() for runtime in runtimes],
)
def test_kernel_that_cannot_go_on_says_why_and_is_replaced(cell: BenchCell, code: str, note: str, runtime: str) -> None:
    outcome, why = attacked(cell, runtime, code, timeout_seconds=1)
    assert (outcome, why) == ("timeout" if note == KILLED else "killed", note)
    assert results(cell, runtime) == EXPECTED


def test_closed_connection_ends_the_kernel_of_node_at_once(cell: BenchCell) -> None:
    """On Deno the code cannot name the descriptor."""
    code = "require('fs').closeSync(3); await new Promise((resolve) => setTimeout(resolve, 1e6));"
    outcome, note = attacked(cell, "nodejs", code)
    assert (outcome, LOST in note) == ("killed", True)
    assert results(cell, "nodejs") == EXPECTED


def test_handler_that_never_ends_ends_with_the_time_limit(cell: BenchCell, runtime: str) -> None:
    outcome, note = attacked(cell, runtime, "process.on('uncaughtException', () => { while (true) {} }); throw 1;", timeout_seconds=0.5)
    assert (outcome, note in ("", KILLED)) == ("timeout", True)
    run(cell, Program("1", "javascript", runtime), clear_context=True)
    assert results(cell, runtime) == EXPECTED


def test_closed_inspector_of_deno_costs_an_endless_loop_the_kernel(cell: BenchCell) -> None:
    run(cell, Program("1", "javascript", "deno"), clear_context=True)
    closing = Program("require('inspector').close(); 'closed'", "javascript", "deno")
    assert run(cell, closing).stdout == b"'closed'\n"
    done = run(cell, Program("while (true) {}", "javascript", "deno"), timeout_seconds=0.3)
    assert (done.outcome, done.note) == ("timeout", KILLED)
    assert results(cell, "deno") == EXPECTED


def test_what_an_interrupted_call_still_does_does_not_end_or_answer_a_later_one(cell: BenchCell, runtime: str) -> None:
    run(cell, Program("var goOn;", "javascript", runtime), clear_context=True)
    waiting = Program(
        "await new Promise((resolve) => { goOn = resolve; setTimeout(() => {}, 1e6); }); 'of the first';", "javascript", runtime
    )
    assert run(cell, waiting, timeout_seconds=0.5).outcome == "timeout"
    code = "goOn(); await new Promise((resolve) => setTimeout(resolve, 20)); 'of the second'"
    assert run(cell, Program(code, "javascript", runtime)).stdout == b"'of the second'\n"


def test_child_processes_of_an_interrupted_call_are_ended(cell: BenchCell, runtime: str) -> None:
    fill(cell, ())
    spawn = "var child = require('child_process').spawn('sh', ['-c', 'trap \"\" INT; touch begun; exec sleep 1000']);"
    waiting = run_code(Program(spawn, "javascript", runtime))
    call = cell.begin(waiting)
    cell.command("until test -e begun; do sleep 0.01; done")
    call.cancel()
    ended = run(
        cell, Program("if (child.signalCode === null) await require('events').once(child, 'exit'); child.signalCode", "javascript", runtime)
    )
    assert (ended.stdout, ended.note) == (b"'SIGTERM'\n", "")


def test_kernel_that_heard_an_interrupt_is_left_alone_until_its_work_ends(cell: BenchCell, runtime: str) -> None:
    """Deno's own code, and the kernel with it, would otherwise be hit while nothing of the user's runs."""
    fill(cell, ())
    run(cell, Program("var kept = 1;", "javascript", runtime), clear_context=True)
    script = "trap '' INT TERM; touch begun; sleep 1"
    spawn = f'require("child_process").spawn("sh", ["-c", "{script}"]); undefined'
    for _ in range(3):
        call = cell.begin(run_code(Program(spawn, "javascript", runtime)))
        cell.command("until test -e begun; do sleep 0.01; done; rm begun")
        call.cancel()
        assert run(cell, Program("kept", "javascript", runtime)).stdout == b"1\n"
