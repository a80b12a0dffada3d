"""The agent's event loop."""

from __future__ import annotations

import socket

from cellblock_cell.loop import READ, Loop

REST_SECONDS = 0.02


def test_an_action_at_rest_runs_once_for_each_time_that_something_happened() -> None:
    loop, rests = Loop(), list[int]()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.watch(theirs.fileno(), READ, lambda _events: theirs.recv(16))
        loop.call_at_rest(REST_SECONDS, lambda: rests.append(len(rests)))
        ours.send(b"1")
        loop.call_after(10 * REST_SECONDS, lambda: ours.send(b"2") and None)
        loop.call_after(20 * REST_SECONDS, loop.stop)
        loop.run()
    assert rests == [0, 1]


def test_without_an_action_at_rest_the_loop_waits_as_ever() -> None:
    loop = Loop()
    loop.call_after(0, loop.stop)
    loop.run()
