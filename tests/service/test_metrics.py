"""`/metrics` counts by AWS's names, for those only that the settings allow; `/ready` says whether sessions can start."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cellblock.settings.table import Settings, SettingsError
from service.served import BUILT_IN, Served, refused, serving, until

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana.json"
TOKEN = "0123456789abcdef"


async def page(served: Served, path: str = "/metrics", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=served.endpoint, trust_env=False) as client:
        return await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def samples(served: Served, **headers: str) -> dict[tuple[str, ...], float]:
    """The value of each sample by its name and the values of its labels in the order of their names."""
    answer = await page(served, **headers)
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


async def test_requests_are_counted_by_operation_and_account(data_dir: Path) -> None:
    async with serving(data_dir, metrics="loopback") as served:
        session = await served.start()
        for _ in range(3):
            await session.run("print(1)")
        await session.refused("executeCode", code="1")
        found = await samples(served)
    account = served.key.account
    assert found["cellblock_invocations_total", account, "InvokeCodeInterpreter"] == 4
    assert found["cellblock_user_errors_total", account, "InvokeCodeInterpreter"] == 1
    assert found["cellblock_system_errors_total", account, "InvokeCodeInterpreter"] == 0
    assert found["cellblock_throttles_total", account, "InvokeCodeInterpreter"] == 0
    assert found["cellblock_latency_seconds_count", "InvokeCodeInterpreter"] == 4
    assert found["cellblock_latency_seconds_bucket", "+Inf", "InvokeCodeInterpreter"] == 4
    assert 0 < found["cellblock_latency_seconds_sum", "InvokeCodeInterpreter"] < 10
    assert found["cellblock_tool_results_total", "false", "executeCode"] == 3


async def test_sessions_pool_and_cells_are_gauges(data_dir: Path) -> None:
    async with serving(data_dir, metrics="loopback") as served:
        session = await served.start()
        await session.run("print(1)")
        await until(lambda: len(served.node.open_cells) == 2)  # the pool is full again
        found = await samples(served)
        assert (found["cellblock_sessions_active",], found["cellblock_pool_cells",], found["cellblock_pool_size",]) == (1, 1, 1)
        assert (found["cellblock_cells_memory_bytes",], found["cellblock_cells_processes",]) == (10 * 1024 * 1024, 2)
        assert found["cellblock_cells_cpu_seconds",] == 0.25
        await session.stop()
        found = await samples(served)
        assert found["cellblock_session_duration_seconds_count",] == 1
        assert found["cellblock_sessions_active",] == 0


async def test_system_error_is_the_service_s(data_dir: Path) -> None:
    async with serving(data_dir, metrics="loopback", pool_size=0) as served:
        served.node.is_broken = True
        await refused(served.data().start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
        found = await samples(served)
    assert found["cellblock_system_errors_total", served.key.account, "StartCodeInterpreterSession"] == 1


async def test_who_proves_nothing_makes_no_account(data_dir: Path) -> None:
    async with serving(data_dir, metrics="loopback") as served:
        await refused(served.data(secret="wrong").start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
        found = await samples(served)
    assert found["cellblock_user_errors_total", "", "StartCodeInterpreterSession"] == 1
    assert ("cellblock_user_errors_total", served.key.account, "StartCodeInterpreterSession") not in found


async def test_metrics_are_off_unless_switched_on(served: Served) -> None:
    assert (await page(served)).status_code == 404


async def test_loopback_page_is_not_for_those_behind_a_proxy(data_dir: Path) -> None:
    async with serving(data_dir, metrics="loopback") as served:
        assert (await page(served)).status_code == 200
        for header in ("X_Forwarded_For", "Forwarded", "X_Real_IP"):
            assert (await page(served, **{header: "203.0.113.9"})).status_code == 403


async def test_token_opens_the_page(data_dir: Path) -> None:
    async with serving(data_dir, metrics="token", metrics_token=TOKEN) as served:
        assert await samples(served, Authorization=f"Bearer {TOKEN}")
        for wrong in ("", "Bearer", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", TOKEN):
            assert (await page(served, Authorization=wrong)).status_code == 403


def test_token_must_be_set_where_it_is_asked_for() -> None:
    with pytest.raises(SettingsError, match="METRICS_TOKEN"):
        Settings.from_environment({"HOME": "/home/somebody", "CELLBLOCK_METRICS": "token"})
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"HOME": "/home/somebody", "CELLBLOCK_METRICS_TOKEN": "tooshort"})
    assert "tooshort" not in str(caught.value)


async def test_dashboard_asks_only_for_metrics_that_there_are(data_dir: Path) -> None:
    async with serving(data_dir, metrics="loopback") as served:
        await (await served.start()).run("print(1)")
        text = (await page(served)).text
    there = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {word for panel in panels for target in panel.get("targets", []) for word in _names(target["expr"])}
    assert len(asked) >= 10
    assert asked - there == set()


def _names(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:cellblock|process)_\w+", expression))


async def test_server_that_can_take_sessions_is_ready(served: Served) -> None:
    answer = await page(served, "/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "Ready"})


async def test_server_whose_host_opens_no_cell_is_not_ready(data_dir: Path) -> None:
    async with serving(data_dir) as served:
        served.node.is_broken = True
        await served.start()  # takes the cell that waits, so that the pool asks for another
        async with httpx.AsyncClient(base_url=served.endpoint, trust_env=False) as client:
            while (answer := await client.get("/ready")).status_code == 200:
                pass
        assert (answer.status_code, answer.json()["reason"]) == (503, "no cell can be opened")
        assert (await page(served, "/ping")).status_code == 200
