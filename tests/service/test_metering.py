"""What is counted for calls and sessions, and what is not; the figures of cells are the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cellblock.errors import Internal
from cellblock.model.calls import MemoryUse
from cellblock.model.usage import GIB, CallFacts, CallUsage, Owner, Prices, SessionUsage, UsageQuery, UsageSum
from cellblock.sessions import metering as metering_module
from cellblock.sessions.metering import LIVE_FLUSH_SECONDS, Metering, log_fields
from cellblock.sessions.meters import SessionMeter
from cellblock.store.sqlite import SqliteStore
from service.fake_clock import FakeClock
from service.fake_node import FakeCell, FakeNode

MIB = 1024**2
OWNER = Owner(session_id="s1", account="1" * 12, interpreter_id="aws.codeinterpreter.v1", key_id="AKIAONE", region="us-west-2")
HOUR = 3600.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "data")
    yield opened
    await opened.close()


@pytest.fixture
def metering(store: SqliteStore, clock: FakeClock) -> Metering:
    """Looks when the test says so."""
    return Metering(store, clock)


@pytest.fixture
async def cell() -> FakeCell:
    """A cell that used a second of CPU time before it had a session."""
    return FakeCell("cell", FakeNode(), cpu_used=1.0, memory_used=MemoryUse(10 * MIB, 10 * MIB))


@pytest.fixture
def meter(metering: Metering, cell: FakeCell) -> SessionMeter:
    return metering.open(OWNER, cell)


def facts(number: int = 1) -> CallFacts:
    return CallFacts(request_id=f"request-{number}", key_id="AKIATWO", tool="executeCode")


async def end(metering: Metering, meter: SessionMeter, cell: FakeCell) -> None:
    await cell.close()
    metering.close_session(meter)
    await metering.flush()


async def only_sum(store: SqliteStore) -> UsageSum:
    (found,) = await store.sum_usage(UsageQuery(by="session"))
    return found


async def only_call(store: SqliteStore) -> CallUsage:
    (found,) = await store.list_call_usage("s1")
    return found


async def test_session_and_call_have_the_cpu_time_of_their_own(
    metering: Metering, meter: SessionMeter, cell: FakeCell, store: SqliteStore, clock: FakeClock
) -> None:
    cell.cpu_used = 1.25
    call = metering.begin_call(meter, facts())
    cell.cpu_used = 3.75
    clock.advance(10)
    metering.end_call(meter, call)
    cell.cpu_used = 4.0
    await end(metering, meter, cell)
    row, total = await only_call(store), await only_sum(store)
    assert (row.cpu_seconds, row.elapsed_seconds, row.tool, row.key_id) == (2.5, 10.0, "executeCode", "AKIATWO")
    assert (total.cpu_seconds, total.elapsed_seconds, total.calls, total.sessions) == (3.0, 10.0, 1, 1)


async def test_idle_time_costs_no_cpu(
    metering: Metering, meter: SessionMeter, cell: FakeCell, store: SqliteStore, clock: FakeClock
) -> None:
    for _ in range(3):
        clock.advance(100)
        await metering.look()
    await end(metering, meter, cell)
    assert (await only_sum(store)).cpu_seconds == 0


async def test_calls_that_overlap_share_what_was_used(metering: Metering, meter: SessionMeter, cell: FakeCell, store: SqliteStore) -> None:
    first = metering.begin_call(meter, facts(1))
    cell.cpu_used += 1.0
    second = metering.begin_call(meter, facts(2))
    cell.cpu_used += 4.0
    await metering.look()
    cell.cpu_used += 2.0
    metering.end_call(meter, first)
    cell.cpu_used += 0.5
    metering.end_call(meter, second)
    await end(metering, meter, cell)
    rows = {row.request_id: row.cpu_seconds for row in await store.list_call_usage("s1")}
    assert rows == {"request-1": 4.0, "request-2": 3.5}
    assert (await only_sum(store)).cpu_seconds == 7.5


async def test_each_second_counts_its_peak_and_at_least_128_mb(
    metering: Metering, meter: SessionMeter, cell: FakeCell, store: SqliteStore, clock: FakeClock
) -> None:
    clock.advance(1)
    await metering.look()  # 10 MB: counts as 128
    for now_mb, peak_mb in ((512, 512), (20, 1024), (20, 1024)):
        cell.cpu_used += 0.1
        cell.memory_used = MemoryUse(now_mb * MIB, peak_mb * MIB)
        clock.advance(1)
        await metering.look()
    await end(metering, meter, cell)
    total = await only_sum(store)
    assert total.memory_gb_seconds * GIB / MIB == pytest.approx(128 + 512 + 1024 + 128)
    assert total.memory_peak_bytes == 1024 * MIB


async def test_call_is_at_least_a_second_and_128_mb(
    metering: Metering, meter: SessionMeter, cell: FakeCell, store: SqliteStore, clock: FakeClock
) -> None:
    call = metering.begin_call(meter, facts())
    clock.advance(0.01)
    metering.end_call(meter, call)
    await end(metering, meter, cell)
    assert (await only_call(store)).memory_gb_seconds == 128 / 1024
    assert (await only_sum(store)).memory_gb_seconds == 128 / 1024


async def test_call_knows_the_peak_of_the_second_in_which_it_ended(
    metering: Metering, meter: SessionMeter, cell: FakeCell, store: SqliteStore, clock: FakeClock
) -> None:
    call = metering.begin_call(meter, facts())
    clock.advance(2)
    metering.end_call(meter, call)
    cell.memory_used = MemoryUse(10 * MIB, 300 * MIB)
    await metering.look()
    await end(metering, meter, cell)
    row = await only_call(store)
    assert (row.memory_peak_bytes, row.memory_gb_seconds) == (300 * MIB, 2 * 300 / 1024)


async def test_memory_of_an_idle_session_is_not_read_again(metering: Metering, meter: SessionMeter, cell: FakeCell) -> None:
    reads: list[MemoryUse] = []

    def read() -> MemoryUse:
        reads.append(cell.memory_used)
        return cell.memory_used

    cell.memory = read  # type: ignore[method-assign]
    for _ in range(5):
        await metering.look()
    assert len(reads) == 1
    cell.cpu_used += 0.1
    await metering.look()
    assert len(reads) == 2


async def test_call_that_outlives_its_session_has_its_row(
    metering: Metering, meter: SessionMeter, cell: FakeCell, store: SqliteStore
) -> None:
    call = metering.begin_call(meter, facts())
    cell.cpu_used += 2.0
    await end(metering, meter, cell)
    metering.end_call(meter, call)
    await metering.flush()
    assert (await only_call(store)).cpu_seconds == 2.0
    assert (await only_sum(store)).calls == 1


async def test_session_that_lives_is_written_each_minute(
    metering: Metering, meter: SessionMeter, cell: FakeCell, store: SqliteStore, clock: FakeClock
) -> None:
    cell.cpu_used += 0.5
    clock.advance(LIVE_FLUSH_SECONDS)
    await metering.look()
    await metering.flush()
    assert (await only_sum(store)).cpu_seconds == 0.5
    cell.cpu_used += 0.5
    await end(metering, meter, cell)
    assert (await only_sum(store)).cpu_seconds == 1.0


async def test_session_has_a_row_for_each_day(
    metering: Metering, meter: SessionMeter, cell: FakeCell, store: SqliteStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = datetime.fromisoformat(meter.day).replace(hour=1, tzinfo=UTC)
    cell.cpu_used += 1.0
    clock.advance(60)
    monkeypatch.setattr(metering_module, "now", lambda: today.replace(year=today.year + 1))
    await metering.look()
    cell.cpu_used += 2.0
    clock.advance(60)
    await end(metering, meter, cell)
    days = await store.sum_usage(UsageQuery(by="day"))
    assert [(day.cpu_seconds, day.elapsed_seconds) for day in days] == [(1.0, 60.0), (2.0, 60.0)]
    assert (await only_sum(store)).cpu_seconds == 3.0


class FailingStore:
    """A store whose database does not answer until it is told to."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.is_down = True

    async def add_usage(self, calls: list[CallUsage], sessions: list[SessionUsage]) -> None:
        if self.is_down:
            raise Internal("the database does not answer")
        await self._store.add_usage(calls, sessions)


async def test_rows_wait_while_the_database_does_not_answer(store: SqliteStore, clock: FakeClock, cell: FakeCell) -> None:
    failing = FailingStore(store)
    metering = Metering(failing, clock)  # type: ignore[arg-type]
    meter = metering.open(OWNER, cell)
    metering.end_call(meter, metering.begin_call(meter, facts()))
    await end(metering, meter, cell)
    failing.is_down = False
    await metering.flush()
    assert (await only_call(store)).request_id == "request-1"
    assert (await only_sum(store)).calls == 1


async def test_rows_that_come_twice_count_once(
    metering: Metering, meter: SessionMeter, cell: FakeCell, store: SqliteStore, clock: FakeClock
) -> None:
    metering.end_call(meter, metering.begin_call(meter, facts()))
    clock.advance(1)
    await end(metering, meter, cell)
    await store.add_usage(await store.list_call_usage("s1"), [])
    assert (await only_call(store)).request_id == "request-1"


async def test_log_has_the_fields_of_the_usage_log_of_aws(meter: SessionMeter) -> None:
    row = meter.row(datetime(2026, 1, 2, tzinfo=UTC), is_over=True)
    assert set(log_fields(row)) == {
        "event_timestamp",
        "resource_arn",
        "service.name",
        "account.id",
        "region",
        "resource.id",
        "session.id",
        "elapsed_time_seconds",
        "codeInterpreter.vcpu.hours.used",
        "codeInterpreter.memory.gb_hours.used",
    }


def test_published_prices_are_the_defaults() -> None:
    assert Prices().cost(1.0, 0.0) == 0.0895
    assert Prices().cost(0.0, 1.0) == 0.00945
