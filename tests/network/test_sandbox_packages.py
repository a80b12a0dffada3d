"""Installing in a session of network mode SANDBOX: what is there is found, what is not fails at once and says why."""

from __future__ import annotations

import pytest

from cellblock.model.calls import FileToWrite, WriteFiles
from cells import BenchCell
from network.wheels import make_wheel, wheel_name

SAYS_WHY = "network-mode-sandbox-has-no-internet"
PATIENCE_SECONDS = 10.0  # a stock pip tries for nine seconds, npm for seventy; these take one or two


@pytest.mark.parametrize(
    "command",
    [
        "pip install absent-package",
        "uv pip install absent-package",
        "npm install absent-package",
        "python -m pip download absent-package",
    ],
)
def test_an_installer_says_at_once_which_mode_keeps_it_from_going_on(cell: BenchCell, command: str) -> None:
    run = cell.command(command, timeout_seconds=60)
    assert run.exit_code != 0
    assert SAYS_WHY in (run.stdout + run.stderr).decode()
    assert run.seconds < PATIENCE_SECONDS


def test_a_line_of_pip_in_code_says_it_too(cell: BenchCell) -> None:
    run = cell.run("%pip install absent-package", timeout_seconds=60)
    assert SAYS_WHY in (run.stdout + run.stderr).decode()


def test_a_package_that_is_there_already_is_no_failure(cell: BenchCell) -> None:
    run = cell.command("pip install requests && uv pip install requests", timeout_seconds=60)
    assert run.exit_code == 0, run.stderr.decode()


def test_a_file_of_the_workspace_can_be_installed_without_a_network(cell: BenchCell) -> None:
    wheel = make_wheel("local_thing", "def answer():\n    return 42\n")
    cell.call(WriteFiles((FileToWrite(wheel_name("local_thing"), wheel),)))
    run = cell.command(f"pip install ./{wheel_name('local_thing')}", timeout_seconds=60)
    assert run.exit_code == 0, run.stderr.decode()
    assert cell.run("import local_thing; print(local_thing.answer())").stdout == b"42\n"
