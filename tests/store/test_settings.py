"""The settings: defaults, bounds, refusals, and the page that documents them."""

from __future__ import annotations

from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest

from cellblock.settings import table
from cellblock.settings.table import Settings, SettingsError

HOME = {"HOME": "/home/somebody"}
DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def read(**variables: str) -> Settings:
    return Settings.from_environment(HOME | {f"CELLBLOCK_{name}": value for name, value in variables.items()})


def test_documentation_is_what_the_table_prints() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == table.markdown()


def test_guide_limits_are_the_defaults() -> None:
    found = read()
    assert (found.max_sessions, found.session_timeout_seconds, found.max_session_timeout_seconds) == (10, 900, 28_800)
    assert (found.call_timeout_seconds, found.memory_mb, found.code_kb, found.inline_file_mb) == (300, 512, 100, 100)


def test_every_setting_is_read_from_its_variable() -> None:
    given = {
        "DATA_DIR": "/data",
        "CACHE_DIR": "/cache",
        "CPUS": "0.5",
        "PRELOAD": "numpy,matplotlib.pyplot",
        "CGROUP": "none",
        "LOG_LEVEL": "debug",
        "MEMORY_MB": "4096",
        "REGION": "us-gov-west-1",
    }
    found = read(**given)
    assert (found.data_dir, found.cache_dir, found.cpus, found.preload) == (
        Path("/data"),
        Path("/cache"),
        0.5,
        ("numpy", "matplotlib.pyplot"),
    )
    assert (found.cgroup, found.log_level, found.memory_bytes, found.region) == ("none", "debug", 4 * 1024**3, "us-gov-west-1")


def test_preload_may_be_empty() -> None:
    assert read(PRELOAD="").preload == ()


@pytest.mark.usefixtures("ordinary_user")
def test_ordinary_user_keeps_state_at_home() -> None:
    found = read()
    assert (found.data_dir, found.cache_dir) == (Path("/home/somebody/.local/share/cellblock"), Path("/home/somebody/.cache/cellblock"))
    with pytest.raises(SettingsError, match=r"HOME=''.*CELLBLOCK_DATA_DIR"):
        Settings.from_environment({})


@pytest.mark.root
def test_root_keeps_state_in_var() -> None:
    found = read()
    assert (found.data_dir, found.cache_dir) == (Path("/var/lib/cellblock"), Path("/home/somebody/.cache/cellblock"))


@pytest.mark.parametrize(
    "item", [item for item in fields(Settings) if item.metadata["rule"].minimum is not None], ids=lambda item: item.name
)
def test_number_is_taken_at_its_bounds_and_refused_beyond(item: Field[Any]) -> None:
    name, rule = item.name.upper(), item.metadata["rule"]
    others = {"UID_COUNT": "16", "UID_BASE": "1000", "SESSION_TIMEOUT_SECONDS": "1"}
    for bound, beyond in ((rule.minimum, rule.minimum - 1), (rule.maximum, rule.maximum + 1)):
        if name != "UID_BASE" or bound == rule.minimum:
            assert getattr(read(**others | {name: f"{bound:.12g}"}), name.lower()) == bound
        with pytest.raises(SettingsError, match=f"CELLBLOCK_{name}="):
            read(**others | {name: f"{beyond:.12g}"})


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("MAX_SESSIONS", "many", "a whole number from 1 to 100000"),
        ("MAX_SESSIONS", "", "a whole number"),
        ("MAX_SESSIONS", "1.5", "a whole number"),
        ("MAX_SESSIONS", "1_0", "a whole number"),
        ("MAX_SESSIONS", " 1", "a whole number"),
        ("MAX_SESSIONS", "\N{ARABIC-INDIC DIGIT ONE}", "a whole number"),
        ("CPUS", "nan", "a number from 0.1 to 1024"),
        ("CPUS", "inf", "a number"),
        ("CPUS", "1e2", "a number"),
        ("DATA_DIR", "data", "an absolute path"),
        ("DATA_DIR", "", "an absolute path"),
        ("LOG_LEVEL", "loud", "debug or info or warning or error"),
        ("CGROUP", "v3", "auto or none"),
        ("ACCOUNT", "12345", "12 digits"),
        ("REGION", "mars", "a region's name"),
        ("PRELOAD", "numpy, pandas", "module names separated by commas"),
        ("PRELOAD", "os;evil", "module names"),
    ],
)
def test_refusal_names_variable_value_and_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{name: value})
    assert str(caught.value).startswith(f"CELLBLOCK_{name}={value}: allowed is {allowed}")


def test_unknown_variable_is_refused_with_those_near_it() -> None:
    with pytest.raises(SettingsError, match=r"CELLBLOCK_MAX_SESSION is not a setting; .*CELLBLOCK_MAX_SESSIONS"):
        read(MAX_SESSION="3")
    with pytest.raises(SettingsError, match=r"CELLBLOCK_ZZ is not a setting; `cellblock serve --help` lists all"):
        read(ZZ="3")


def test_variables_of_others_are_ignored() -> None:
    assert Settings.from_environment(HOME | {"PATH": "/bin", "cellblock_x": "1"}) == read()


def test_default_lifetime_above_the_longest_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"SESSION_TIMEOUT_SECONDS=900: .* which is 60"):
        read(MAX_SESSION_TIMEOUT_SECONDS="60")


def test_host_ids_beyond_the_last_are_refused() -> None:
    with pytest.raises(SettingsError, match="CELLBLOCK_UID_COUNT"):
        read(UID_BASE="4294967294", UID_COUNT="16")


def test_this_process_is_read_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLBLOCK_POOL_SIZE", "7")
    assert table.load().pool_size == 7
    assert table.host_environment()["CELLBLOCK_POOL_SIZE"] == "7"
