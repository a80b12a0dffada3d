"""Guided fuzzing of every decoder and of the file tools, some seconds each: how much was tried, and what broke."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from _measuring import Report, command_line, progress

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "build" / "fuzz"
TARGET = re.compile(r"^== (\w+)$", re.MULTILINE)
TRIED = re.compile(r"^stat::number_of_executed_units:\s+(\d+)$", re.MULTILINE)


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, count=(20, "seconds of each target"))
    report = Report("fuzz")
    progress(f"make fuzz, {arguments.count} s a target")
    before = broken_inputs()
    done = subprocess.run(
        ["make", "--no-print-directory", "fuzz", f"FUZZ_SECONDS={arguments.count}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    found = broken_inputs() - before
    targets = TARGET.split(done.stdout)[1:]
    for name, output in zip(targets[::2], targets[1::2], strict=True):
        report.note(f"inputs tried on {name}", ", ".join(TRIED.findall(output)) or "none: it stopped")
    for path in sorted(found):
        report.note("broke something", path)
    report.judge("fuzz-findings", max(len(found), int(done.returncode != 0)))
    report.judge("fuzz-targets", len(TRIED.findall(done.stdout)))
    report.judge("fuzz-inputs", sum(int(number) for number in TRIED.findall(done.stdout)))
    report.show(arguments)


def broken_inputs() -> set[str]:
    """What libFuzzer has kept: inputs that failed, took too long or too much memory."""
    return {str(path.relative_to(ROOT)) for path in KEPT.glob("*-*") if path.is_file()}


if __name__ == "__main__":
    main()
