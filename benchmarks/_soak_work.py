"""What the sessions of a soak do: real work of every kind, and what goes wrong with real clients. Each says when an answer is not right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from _serving import INTERPRETER
from botocore.exceptions import ReadTimeoutError

IMPATIENCE_SECONDS = 1
SHORT_LIFE_SECONDS = 10
TASK_SECONDS = 30
FILE = bytes(range(256)) * 4096

PANDAS = "import pandas as pd\nframe = pd.DataFrame({'k': list('abab'), 'v': range(4)})\nprint(frame.groupby('k').v.sum().to_dict())"
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 4, 9])\nplt.show()"
NODE = "const { sum } = { sum: (list) => list.reduce((a, b) => a + b, 0) }; console.log(sum([1, 2, 3]))"
STAY = "import signal\nprint('waiting', flush=True)\nwhile True:\n    signal.pause()"

Json = dict[str, Any]


class WrongAnswer(Exception):
    """The service did not answer as it should."""


@dataclass(frozen=True, slots=True)
class Clients:
    """Stock clients of one server, and one that gives up reading soon and does not try again."""

    stock: Any
    impatient: Any


@dataclass(frozen=True, slots=True)
class Visit:
    """One session in the hands of one client."""

    clients: Clients
    session_id: str

    def use(self, tool: str, *, client: Any = None, **arguments: Any) -> Json:
        """The one result of a tool."""
        answer = (client or self.clients.stock).invoke_code_interpreter(
            codeInterpreterIdentifier=INTERPRETER, sessionId=self.session_id, name=tool, arguments=arguments
        )
        (event,) = answer["stream"]
        return cast("Json", event["result"])

    def expect(self, stdout: str, tool: str, **arguments: Any) -> Json:
        """Use a tool that must succeed and print this."""
        result = self.use(tool, **arguments)
        must(result["isError"] is False and result["structuredContent"]["stdout"] == stdout, result)
        return result

    def python(self, code: str, stdout: str) -> Json:
        """Python code that must succeed and print this."""
        return self.expect(stdout, "executeCode", language="python", code=code)


@contextmanager
def visit_to(clients: Clients) -> Iterator[Visit]:
    """A session for the block."""
    visit = Visit(clients, start(clients))
    try:
        yield visit
    finally:
        clients.stock.stop_code_interpreter_session(codeInterpreterIdentifier=INTERPRETER, sessionId=visit.session_id)


def start(clients: Clients, **arguments: Any) -> str:
    """The id of a new session."""
    started = clients.stock.start_code_interpreter_session(codeInterpreterIdentifier=INTERPRETER, **arguments)
    return str(started["sessionId"])


def must(is_right: bool, found: object) -> None:
    """Raises WrongAnswer with what was found."""
    if not is_right:
        raise WrongAnswer(str(found)[:500])


def pandas(clients: Clients) -> None:
    """A table, in two calls that share variables."""
    with visit_to(clients) as visit:
        visit.python(PANDAS, "{'a': 2, 'b': 4}")
        visit.python("print(len(frame))", "4")


def plot(clients: Clients) -> None:
    """A figure that comes back as an image."""
    with visit_to(clients) as visit:
        result = visit.use("executeCode", language="python", code=PLOT)
        must("image" in [block["type"] for block in result["content"]], result)


def node(clients: Clients) -> None:
    """JavaScript on Node, then a command."""
    with visit_to(clients) as visit:
        visit.expect("6", "executeCode", language="javascript", runtime="nodejs", code=NODE)
        visit.expect("here", "executeCommand", command="echo here")


def task(clients: Clients) -> None:
    """A task that ends, one that is stopped, and one that is running when the session is stopped."""
    with visit_to(clients) as visit:
        quick, slow, _ = (
            visit.use("startCommandExecution", command=command)["structuredContent"]["taskId"]
            for command in ("echo done > quick", "exec sleep 1000", "sleep 1000 & exec sleep 1000")
        )
        limit = time.monotonic() + TASK_SECONDS
        while (state := visit.use("getTask", taskId=quick)["structuredContent"]["taskStatus"]) == "working":
            must(time.monotonic() < limit, state)
        must(state == "completed", state)
        must(visit.use("stopTask", taskId=slow)["isError"] is False, slow)


def files(clients: Clients) -> None:
    """A megabyte in and out again."""
    with visit_to(clients) as visit:
        visit.use("writeFiles", content=[{"path": "one", "blob": FILE}, {"path": "two", "text": "two"}])
        read = visit.use("readFiles", paths=["one"])
        must(any(block.get("resource", {}).get("blob") == FILE for block in read["content"]), "another file came back")
        visit.use("removeFiles", paths=["two"])
        names = [entry["name"] for entry in visit.use("listFiles")["content"]]
        must(names == ["one"], names)


def kill(clients: Clients) -> None:
    """A kernel that ends itself and one that is killed by a command: told, and the next call has a fresh one."""
    with visit_to(clients) as visit:
        result = visit.use("executeCode", language="python", code="import os; os._exit(3)")
        must(result["isError"] is True, result)
        visit.python("import os; print(os.path.exists('kept')); open('kept', 'w').close()", "False")
        visit.use("executeCommand", command="kill -9 -1")
        visit.use("executeCode", language="python", code="pass")
        visit.python("import os; print(os.path.exists('kept'))", "True")


def time_out(clients: Clients) -> None:
    """Code over its time; what it printed is kept."""
    with visit_to(clients) as visit:
        result = visit.use("executeCode", language="python", code=STAY)
        structured = result["structuredContent"]
        must((structured["exitCode"], structured["stdout"]) == (124, "waiting"), result)


def vanish(clients: Clients) -> None:
    """A client that gives up in the middle of a call and never stops its session, whose lifetime ends it."""
    visit = Visit(clients, start(clients, sessionTimeoutSeconds=SHORT_LIFE_SECONDS))
    try:
        result = visit.use("executeCode", client=clients.impatient, language="python", code=STAY)
    except ReadTimeoutError:
        return
    must(result["structuredContent"]["exitCode"] == 124, result)  # the lifetime was over sooner


WORK: dict[str, Callable[[Clients], None]] = {
    "pandas": pandas,
    "plot": plot,
    "Node": node,
    "tasks": task,
    "files": files,
    "kills": kill,
    "time-out": time_out,
    "client that vanishes": vanish,
}
