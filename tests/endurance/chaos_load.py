"""Clients that use a server without pause, and write down what it has acknowledged, so that a test can ask for it afterwards."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random

from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError

from running_server import BUILT_IN, Json, RunningServer, ServedSession

CLIENTS = 5
CODE = "import pandas\nprint(sum(range(100_000)))"
RIGHT = "4999950000"
CUT_OFF = "an answer was cut off"


class Ledger:
    """What was asked for and what of it was acknowledged; ids that are only in the first are nobody's promise."""

    def __init__(self) -> None:
        self.created: set[str] = set()
        self.delete_asked: set[str] = set()
        self.deleted: set[str] = set()
        self.started: dict[str, str] = {}
        self.stop_asked: set[str] = set()
        self.stopped: set[str] = set()
        self.problems: Counter[str] = Counter()
        self.steps = 0
        self._stepped = threading.Condition()  # guards steps

    def step(self) -> None:
        """One operation more is over."""
        with self._stepped:
            self.steps += 1
            self._stepped.notify_all()

    def wait_steps(self, count: int) -> None:
        """Until so many operations more are over."""
        with self._stepped:
            wanted = self.steps + count
            assert self._stepped.wait_for(lambda: self.steps >= wanted, timeout=60), "the load has stopped"


class Client:
    """One client that goes on until the load ends or the server is gone; what is refused is a problem it writes down."""

    def __init__(self, server: RunningServer, ledger: Ledger, random: Random) -> None:
        self._server = server
        self._ledger = ledger
        self._random = random
        self._interpreters: list[str] = []
        self._sessions: list[ServedSession] = []

    def live(self, is_over: threading.Event) -> None:
        """Work."""
        while not is_over.is_set():
            try:
                self._random.choice(self._choices())()
            except (EndpointConnectionError, HTTPClientError):
                return
            except (KeyError, ValueError):  # botocore reads an answer that was cut off after its head as an empty one
                self._ledger.problems[CUT_OFF] += 1
                return
            except ClientError as error:
                self._ledger.problems[f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"] += 1
            self._ledger.step()

    def _choices(self) -> list[Callable[[], None]]:
        choices: list[Callable[[], None]] = [self._create]
        choices += [self._delete] if self._interpreters else []
        choices += [self._start] * 2 if len(self._sessions) < 4 else []
        choices += [self._run, self._run, self._stop] if self._sessions else []
        return choices

    def _create(self) -> None:
        made = self._server.create(f"chaos{self._random.getrandbits(48):x}")["codeInterpreterId"]
        self._ledger.created.add(made)
        self._interpreters.append(made)

    def _delete(self) -> None:
        chosen = self._interpreters.pop(self._random.randrange(len(self._interpreters)))
        self._ledger.delete_asked.add(chosen)
        self._server.control.delete_code_interpreter(codeInterpreterId=chosen)
        self._ledger.deleted.add(chosen)

    def _start(self) -> None:
        session = self._server.start(BUILT_IN)
        self._ledger.started[session.id] = session.interpreter
        self._sessions.append(session)

    def _run(self) -> None:
        session = self._random.choice(self._sessions)
        try:
            result = session.run(CODE)
        except ClientError:
            self._sessions.remove(session)
            raise
        if result["isError"] or result["structuredContent"]["stdout"] != RIGHT:
            self._ledger.problems[_told(result)] += 1

    def _stop(self) -> None:
        session = self._sessions.pop(self._random.randrange(len(self._sessions)))
        self._ledger.stop_asked.add(session.id)
        session.end()
        self._ledger.stopped.add(session.id)


def _told(result: Json) -> str:
    """What a result says, whole: a kernel that was killed at its very end has printed all before the news of its death."""
    return "\n".join(str(content.get("text", content["type"])) for content in result["content"])


@contextmanager
def load(server: RunningServer, ledger: Ledger, seed: int) -> Iterator[None]:
    """Clients that work for the block."""
    is_over = threading.Event()
    clients = [Client(server, ledger, Random(seed + number)) for number in range(CLIENTS)]
    assert (server.data, server.control) != ()  # made once, before threads ask for them
    with ThreadPoolExecutor(CLIENTS) as threads:
        working = [threads.submit(client.live, is_over) for client in clients]
        try:
            yield
        finally:
            is_over.set()
        for work in working:
            work.result(timeout=60)
