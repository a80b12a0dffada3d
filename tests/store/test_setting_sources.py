"""Where a setting may be written, which place wins, and how a mistake is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cellblock.settings import table
from cellblock.settings.table import SettingsError

CELLBLOCK = Path(sys.executable).parent / "cellblock"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cellblock.toml"


def refusal(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        table.load(file=file)
    return str(caught.value)


def test_flag_wins_over_environment_and_environment_over_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("# limits\nmemory_mb = 100\nprocesses = 100\n\nopen_files = 100\n")
    monkeypatch.setenv("CELLBLOCK_MEMORY_MB", "200")
    monkeypatch.setenv("CELLBLOCK_PROCESSES", "200")
    found = table.read({"memory_mb": "300"}, file)
    assert (found.settings.memory_mb, found.settings.processes, found.settings.open_files, found.settings.tmp_mb) == (300, 200, 100, 128)
    origins = [found.origins[name] for name in ("memory_mb", "processes", "open_files", "tmp_mb")]
    assert origins == ["--memory-mb", "CELLBLOCK_PROCESSES", f"{file}:5", "default"]


def test_file_takes_numbers_texts_and_lists(file: Path) -> None:
    file.write_text('cpus = 0.5\npreload = ["numpy", "json"]\nlog_level = "error"\ndata_dir = "/data"\n')
    found = table.load(file=file)
    assert (found.cpus, found.preload, found.log_level, found.data_dir) == (0.5, ("numpy", "json"), "error", Path("/data"))


def test_variable_names_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("pool_size = 9\n")
    monkeypatch.setenv("CELLBLOCK_CONFIG", str(file))
    assert table.load().pool_size == 9


@pytest.mark.usefixtures("ordinary_user")
def test_file_of_an_ordinary_user_is_below_home(monkeypatch: pytest.MonkeyPatch) -> None:
    with TemporaryDirectory() as home:  # pytest's are closed to another user
        monkeypatch.setenv("HOME", home)
        place = Path(home, ".config", "cellblock", "cellblock.toml")
        place.parent.mkdir(parents=True)
        place.write_text("pool_size = 9\n")
        assert table.load().pool_size == 9


def test_unknown_setting_is_told_with_its_line(file: Path) -> None:
    assert refusal(file, "pool_size = 1\nmemory_gb = 4\n").startswith(f"{file}:2: memory_gb is not a setting; did you mean memory_mb")


def test_value_that_is_not_allowed_is_told_with_its_line(file: Path) -> None:
    assert refusal(file, '\n\n"memory_mb" = 1\n') == f"{file}:3: memory_mb = 1: allowed is a whole number from 64 to 4096"
    assert refusal(file, 'log_level = "loud"') == f"{file}:1: log_level = loud: allowed is debug or info or warning or error"


@pytest.mark.parametrize("text", ["[memory_mb]\nx = 1\n", "memory_mb = 2026-01-01\n", 'preload = ["a,b"]\n', "preload = [1]\n"])
def test_value_of_another_kind_is_told_with_its_line(file: Path, text: str) -> None:
    assert f"{file}:1: " in refusal(file, text)
    assert "must be a text, a number, true, false, or a list of texts" in refusal(file, text)


def test_malformed_file_is_told_with_the_line(file: Path) -> None:
    assert refusal(file, "pool_size = 1\nmemory_mb =\n").startswith(f"{file} is not TOML: ")
    assert "at line 2" in refusal(file, "pool_size = 1\nmemory_mb =\n")


def test_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing.toml cannot be read: No such file"):
        table.load(file=tmp_path / "missing.toml")


def test_flag_that_is_not_allowed_is_told(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"--pool-size=many: allowed is a whole number"):
        table.load({"pool_size": "many"})


def test_command_prints_effective_values_and_their_origins(file: Path) -> None:
    file.write_text("memory_mb = 100\n")
    environment = dict(os.environ) | {"CELLBLOCK_POOL_SIZE": "3"}
    command = [CELLBLOCK, "settings", "--config", file, "--cpus", "2", "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment).stdout)
    assert found["memory_mb"] == {"value": "100", "from": f"{file}:1"}
    assert found["pool_size"] == {"value": "3", "from": "CELLBLOCK_POOL_SIZE"}
    assert found["cpus"] == {"value": "2.0", "from": "--cpus"}
    assert found["tmp_mb"] == {"value": "128", "from": "default"}
    assert found.keys() == table.TABLE.keys()


def test_start_ends_with_the_line_that_is_wrong(file: Path) -> None:
    file.write_text("\nmemory_gb = 4\n")
    done = subprocess.run([CELLBLOCK, "serve", "--config", file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"cellblock: {file}:2: memory_gb is not a setting")
    assert done.stderr.count("\n") == 1
