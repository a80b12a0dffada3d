"""Tasks: commands that outlive their call."""

from __future__ import annotations

import re
import uuid

from cell.client import AgentClient, AgentTemplate, Reply, wait_until_gone
from cellblock_cell.tasks import FINISHED_LIMIT, WORKING_LIMIT

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def start(agent: AgentClient, command: str, output_bytes: int = 1_000_000) -> str:
    return str(agent.call("start_task", command=command, output_bytes=output_bytes).meta["task_id"])


def state(agent: AgentClient, task: str) -> Reply:
    return agent.call("get_task", task_id=task)


def finish(agent: AgentClient, task: str) -> Reply:
    while (reply := state(agent, task)).meta["status"] == "working":
        pass
    return reply


def test_task_id_is_a_random_uuid(agent: AgentClient) -> None:
    assert uuid.UUID(start(agent, "true")).version == 4


def test_task_that_succeeds_is_completed(agent: AgentClient) -> None:
    reply = finish(agent, start(agent, "echo out; echo err >&2"))
    assert (reply.stdout, reply.stderr) == (b"out\n", b"err\n")
    assert (reply.meta["status"], reply.meta["exit_code"], reply.meta["dropped_bytes"]) == ("completed", 0, 0)
    assert 0 < reply.meta["seconds"] < 5


def test_task_that_fails_is_failed(agent: AgentClient) -> None:
    reply = finish(agent, start(agent, "exit 4"))
    assert (reply.meta["status"], reply.meta["exit_code"]) == ("failed", 4)


def test_working_task_shows_its_output_so_far(agent: AgentClient) -> None:
    task = start(agent, "echo early; until test -e go; do :; done; echo late")
    while not (reply := state(agent, task)).stdout:
        pass
    assert (reply.stdout, reply.meta["status"], reply.meta["exit_code"]) == (b"early\n", "working", None)
    agent.command("touch go")
    assert finish(agent, task).stdout == b"early\nlate\n"


def test_task_outlives_the_calls_around_it(agent: AgentClient) -> None:
    task = start(agent, "until test -e go; do :; done; echo lived")
    agent.run("1")
    agent.run("import os; os._exit(1)")
    agent.command("sleep 60", timeout_seconds=0.1)
    agent.command("touch go")
    assert finish(agent, task).text == "lived"


def test_finished_task_can_be_asked_again(agent: AgentClient) -> None:
    task = start(agent, "echo out")
    assert finish(agent, task).stdout == state(agent, task).stdout == b"out\n"


def test_stopped_task_is_canceled_and_dead(agent: AgentClient) -> None:
    task = start(agent, "echo $$; sleep 600; true")
    while not (reply := state(agent, task)).stdout:
        pass
    stopped = agent.call("stop_task", task_id=task)
    assert stopped.meta == {"stopped": True, "status": "canceled"}
    wait_until_gone(int(reply.text))
    assert state(agent, task).meta["status"] == "canceled"


def test_task_that_ignores_the_signal_is_killed(agent: AgentClient) -> None:
    task = start(agent, "trap '' TERM; echo deaf; while :; do :; done")
    while not state(agent, task).stdout:
        pass
    assert agent.call("stop_task", task_id=task).meta == {"stopped": True, "status": "canceled"}
    assert state(agent, task).meta["exit_code"] == 137


def test_finished_task_cannot_be_stopped(agent: AgentClient) -> None:
    task = start(agent, "true")
    finish(agent, task)
    assert agent.call("stop_task", task_id=task).meta == {"stopped": False, "status": "completed"}


def test_two_stops_at_once_both_get_an_answer(agent: AgentClient) -> None:
    task = start(agent, "sleep 600; true")
    numbers = [agent.start("stop_task", task_id=task), agent.start("stop_task", task_id=task)]
    assert [agent.wait(number).meta["status"] for number in numbers] == ["canceled", "canceled"]


def test_unknown_task_is_named(agent: AgentClient) -> None:
    for tool in ("get_task", "stop_task"):
        reply = agent.call(tool, task_id=UNKNOWN)
        assert (reply.error, UNKNOWN in reply.meta["error"]["message"]) == ("task_not_found", True)


def test_output_of_a_task_is_bounded_and_counted(agent: AgentClient) -> None:
    reply = finish(agent, start(agent, "head -c 5000 /dev/zero", output_bytes=1000))
    assert (len(reply.stdout), reply.meta["dropped_bytes"]) == (1000, 4000)


def test_large_output_of_a_task_arrives_whole(agent: AgentClient) -> None:
    reply = finish(agent, start(agent, "yes | head -c 9000000", output_bytes=10_000_000))
    assert reply.stdout == b"y\n" * 4_500_000


def test_oldest_finished_tasks_are_forgotten(agent: AgentClient) -> None:
    tasks = [start(agent, f"echo {i}") for i in range(3)]
    for task in tasks:
        finish(agent, task)
    for _ in range(FINISHED_LIMIT - 2):
        finish(agent, start(agent, "true"))
    assert state(agent, tasks[0]).error == "task_not_found"
    assert state(agent, tasks[1]).text == "1"


def test_tasks_at_work_are_limited(agent: AgentClient) -> None:
    numbers = [agent.start("start_task", command="sleep 600", output_bytes=1) for _ in range(WORKING_LIMIT + 1)]
    errors = [agent.wait(number).error for number in numbers]
    assert errors == [""] * WORKING_LIMIT + ["too_many_tasks"]


def test_tasks_die_with_the_agent(template: AgentTemplate, agent: AgentClient) -> None:
    with template.agent(agent.workspace) as other:
        task = start(other, "echo $$; sleep 600; true")
        while not (reply := state(other, task)).stdout:
            pass
    assert re.fullmatch(r"\d+", reply.text)
    wait_until_gone(int(reply.text))
