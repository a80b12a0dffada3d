"""What a node that Ray starts is told."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cellblock.cluster.node_settings import all_settings, node_environment, passed_settings
from cellblock.settings.table import Settings

KEY = b"k" * 32


def settings_of(place: Path, **more: str) -> Settings:
    given = {"CELLBLOCK_STORE": "postgresql://db/x", "CELLBLOCK_DATA_DIR": str(place / "data"), "CELLBLOCK_PORT": "9000"}
    return Settings.from_environment({"HOME": str(place)} | given | more)


def test_settings_of_a_front_end_survive_their_way_to_another_process(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, CELLBLOCK_PRELOAD="numpy,pandas", CELLBLOCK_CPUS="0.5", CELLBLOCK_CLUSTER="ray")
    assert Settings.from_environment(all_settings(settings)) == settings


def test_node_has_the_front_ends_settings_but_its_own_address_and_place(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, CELLBLOCK_MEMORY_MB="256", CELLBLOCK_CLUSTER="ray")
    told = node_environment(passed_settings(settings), name="m1", address="10.0.0.7", secrets_key=KEY)
    node = Settings.from_environment(told)
    assert (node.memory_mb, node.store, node.cluster) == (256, "postgresql://db/x", "manual")
    assert (node.host, node.port, node.node_name) == ("10.0.0.7", 0, "m1")
    assert node.data_dir == tmp_path / "data" / "nodes" / "m1"


def test_nodes_directory_and_its_key_are_closed_to_others(tmp_path: Path) -> None:
    node_environment(passed_settings(settings_of(tmp_path)), name="m1", address="10.0.0.7", secrets_key=KEY)
    place = tmp_path / "data" / "nodes" / "m1"
    assert (place / "secrets.key").read_bytes() == KEY
    assert stat.S_IMODE((place / "secrets.key").stat().st_mode) == 0o600
    assert [stat.S_IMODE(path.stat().st_mode) for path in (place, *place.parents[:2])] == [0o700] * 3


def test_environment_of_a_machine_says_what_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLBLOCK_NODE_SESSIONS", "7")
    monkeypatch.setenv("CELLBLOCK_PORT", "tcp://10.0.0.1:80")  # as Kubernetes puts it there for a service of that name
    monkeypatch.setenv("RAY_JOB_ID", "01000000")
    told = node_environment(passed_settings(settings_of(tmp_path)), name="m1", address="10.0.0.7", secrets_key=KEY)
    assert (told["CELLBLOCK_NODE_SESSIONS"], told["CELLBLOCK_PORT"]) == ("7", "0")
    assert "RAY_JOB_ID" not in told
