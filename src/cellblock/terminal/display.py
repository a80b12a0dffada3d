"""What people see in a terminal: progress and tables."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cellblock.runtime import builds
from cellblock.runtime.builds import Package
from cellblock.runtime.layout import Runtime
from cellblock.settings.table import Settings
from cellblock.terminal.doctor import Finding

_COLUMNS = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


def build_runtime(settings: Settings) -> Runtime:
    """The runtime, built with a display of how far it is. Raises HostNotReady."""
    found = builds.find(settings)
    if found is not None:
        return found
    console = Console(stderr=True)
    if not console.is_terminal:
        return builds.build(settings, lambda step: console.print(f"runtime: {step.title} ({step.number} of {step.total})", soft_wrap=True))
    with Progress(*_COLUMNS, console=console, transient=True) as progress:
        bar = progress.add_task("building the runtime, once for this machine")
        return builds.build(
            settings, lambda step: progress.update(bar, description=f"runtime: {step.title}", completed=step.number, total=step.total)
        )


def show_packages(packages: Iterable[Package]) -> None:
    """A table of what is installed."""
    table = Table("kind", "name", "version")
    for package in packages:
        table.add_row(package.kind, package.name, package.version)
    Console().print(table)


def show_findings(findings: list[Finding]) -> None:
    """What works, what is missing, what that costs, and how to mend it."""
    console = Console(soft_wrap=True)
    for finding in findings:
        mark = "[green]ok[/]     " if finding.ok else "[red]missing[/]" if finding.is_needed else "[yellow]missing[/]"
        console.print(f"{mark}  [bold]{finding.name:15}[/] ", end="")
        console.print(finding.found, markup=False, highlight=False)
        if not finding.ok:
            console.print(f"{'':9}costs: {finding.cost}\n{'':9}mend:  {finding.mend}", markup=False, highlight=False)
    cannot_run = any(finding.is_fatal for finding in findings)
    console.print("cells cannot run on this machine" if cannot_run else "cells can run on this machine")
