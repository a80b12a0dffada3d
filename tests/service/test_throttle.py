"""Rates: who is told to wait, for how long, and that clients who wait are served."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cellblock.errors import Throttled
from cellblock.service.throttle import Throttle, rates
from cellblock.settings.table import Settings
from cellblock.wire.operations import OPERATIONS
from service.fake_clock import FakeClock
from service.served import BUILT_IN, Served, off_loop, refused, serving

INVOKE = "InvokeCodeInterpreter"
RATE = 20.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def throttle(clock: FakeClock, tmp_path: Path) -> Throttle:
    """Ten calls a second, twenty at one moment."""
    return Throttle(Settings(data_dir=tmp_path, cache_dir=tmp_path, call_rate=10.0, session_rate=0.0), clock)


def admitted(throttle: Throttle, count: int, *, account: str = "a", operation: str = INVOKE, urgency: float = 0.0) -> int:
    """How many of so many requests at one moment are served."""
    served = 0
    for _ in range(count):
        try:
            throttle.take(account, operation, urgency=urgency)
        except Throttled:
            continue
        served += 1
    return served


def test_burst_is_served_and_then_the_rate(throttle: Throttle, clock: FakeClock) -> None:
    assert admitted(throttle, 100) == 20
    clock.advance(0.5)
    assert admitted(throttle, 100) == 5
    clock.advance(3600)
    assert admitted(throttle, 100) == 20


def test_accounts_and_operations_do_not_share_a_bucket(throttle: Throttle) -> None:
    assert admitted(throttle, 100) == 20
    assert admitted(throttle, 100, account="b") == 20
    assert admitted(throttle, 100, operation="GetCodeInterpreterSession") == 20


def test_rate_of_zero_is_no_limit(throttle: Throttle) -> None:
    assert admitted(throttle, 10_000, operation="StartCodeInterpreterSession") == 10_000


def test_later_attempts_draw_on_tokens_to_come_and_are_bounded(throttle: Throttle, clock: FakeClock) -> None:
    assert admitted(throttle, 100) == 20
    assert admitted(throttle, 100, urgency=0.5) == 10
    assert admitted(throttle, 100, urgency=1.0) == 10
    clock.advance(2)
    assert admitted(throttle, 100) == 0
    clock.advance(2)
    assert admitted(throttle, 100) == 20


def test_refusal_names_rate_time_and_setting(throttle: Throttle, clock: FakeClock) -> None:
    admitted(throttle, 100)
    with pytest.raises(Throttled, match=r"10 InvokeCodeInterpreter requests a second; try again in 0\.1 s \(setting CELLBLOCK_CALL_RATE\)"):
        throttle.take("a", INVOKE)


def test_every_operation_has_a_rate(tmp_path: Path) -> None:
    assert set(rates(Settings(data_dir=tmp_path, cache_dir=tmp_path))) == {operation.name for operation in OPERATIONS}


async def test_throttled_client_is_told_when_to_come_again(data_dir: Path) -> None:
    async with serving(data_dir, call_rate=0.1, rate_burst_seconds=10) as served:
        named = {"codeInterpreterIdentifier": BUILT_IN}
        await off_loop(served.data().list_code_interpreter_sessions, **named)
        error = await refused(served.data().list_code_interpreter_sessions, **named)
        theirs = served.of(await served.other_key("theirs", account="999999999999"))
        await off_loop(theirs.data().list_code_interpreter_sessions, **named)
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("ThrottlingException", 429)
    assert 1 <= int(error["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) <= 10


async def test_stranger_does_not_use_up_an_accounts_rate(data_dir: Path) -> None:
    """A request that is not proven takes no token, whichever key it names."""
    async with serving(data_dir, call_rate=0.1, rate_burst_seconds=10) as served:
        named = {"codeInterpreterIdentifier": BUILT_IN}
        for _ in range(3):
            error = await refused(served.data(secret="x" * 40).list_code_interpreter_sessions, **named)
            assert error["Error"]["Code"] == "InvalidSignatureException"
        await off_loop(served.data().list_code_interpreter_sessions, **named)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["standard", "adaptive"])
async def test_clients_that_retry_succeed_under_three_times_the_rate(data_dir: Path, mode: str) -> None:
    """Two seconds of three times the rate, sent at a steady pace whatever the answers, with botocore's own number of attempts.

    A burst, two seconds' tokens and what last attempts may take of those to come are as many as the calls, however short the waits.
    """
    async with serving(data_dir, call_rate=RATE) as served:
        failures, throttled = await off_loop(overload, served, mode, count=int(6 * RATE), per_second=3 * RATE)
    assert failures == []
    assert throttled > 0, "nothing was throttled: this was no overload"


def overload(served: Served, mode: str, *, count: int, per_second: float) -> tuple[list[Exception], int]:
    """What failed in the end, and how many attempts were throttled before."""
    throttled: list[int] = []
    client = served.data(retries={"mode": mode}, max_pool_connections=count)
    client.meta.events.register("needs-retry", counter(throttled))
    pace = threading.Event()
    with ThreadPoolExecutor(count) as pool:
        calls = []
        for _ in range(count):
            calls.append(pool.submit(client.list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN))
            pace.wait(1 / per_second)
    failures = [error for call in calls if isinstance(error := call.exception(), ClientError)]
    return list(failures), len(throttled)


def counter(throttled: list[int]) -> Callable[..., None]:
    def count(response: Any, **_: Any) -> None:
        if response is not None and response[0].status_code == 429:
            throttled.append(1)

    return count


def test_defaults_let_a_hundred_sessions_a_second_through(clock: FakeClock, tmp_path: Path) -> None:
    throttle = Throttle(Settings(data_dir=tmp_path, cache_dir=tmp_path), clock)
    for _ in range(20):
        assert admitted(throttle, 100, operation="StartCodeInterpreterSession") == 100
        assert admitted(throttle, 1000) == 1000
        clock.advance(1)
