"""`cellblock doctor`."""

from __future__ import annotations

import dataclasses
import json
import sys

import click

from cellblock.runtime import builds
from cellblock.sandbox.policy import default_policy
from cellblock.settings.table import Settings
from cellblock.terminal import display, doctor
from cellblock.terminal.command_line import json_option, with_settings


@click.command("doctor")
@click.option("--policy", is_flag=True, help="Print the confinement of cells instead.")
@json_option
@with_settings("data_dir", "cache_dir", "runtime_python", "cgroup", "store", "secrets_key_file")
def command(settings: Settings, policy: bool, as_json: bool) -> None:
    """Check what cells need of this machine; exit status 1 when they cannot run.

    Example: cellblock doctor --json
    """
    if policy:
        click.echo(_policy_text(settings))
        return
    findings = list(doctor.examine(settings))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        display.show_findings(findings)
    sys.exit(any(finding.is_fatal for finding in findings))


def _policy_text(settings: Settings) -> str:
    built = builds.find(settings)
    place = built.path if built else settings.cache_dir / "runtimes"
    prefix = str(built.base.prefix) if built else sys.base_prefix
    return default_policy(runtime=place, code=settings.cache_dir / "cell", base_prefix=prefix).describe()
