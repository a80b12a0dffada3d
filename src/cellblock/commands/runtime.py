"""`cellblock runtime build` and `show`."""

from __future__ import annotations

import dataclasses
import json

import click

from cellblock.runtime import builds
from cellblock.settings.table import Settings
from cellblock.terminal import display
from cellblock.terminal.command_line import Commands, fail, json_option, with_settings


@click.group("runtime", cls=Commands)
def command() -> None:
    """Build or list the Python, Node and libraries that sessions see."""


@command.command("build")
@with_settings("cache_dir", "runtime_python")
def build(settings: Settings) -> None:
    """Build the runtime, when it is not there.

    Example: cellblock runtime build
    """
    built = display.build_runtime(settings)
    click.echo(f"the runtime is ready: {built.path}")


@command.command("show")
@with_settings("cache_dir", "runtime_python")
@json_option
def show(settings: Settings, as_json: bool) -> None:
    """List what sessions find installed.

    Example: cellblock runtime show
    """
    built = builds.find(settings)
    if built is None:
        fail("the runtime is not built; build it with: cellblock runtime build")
    packages = builds.versions(built)
    if as_json:
        click.echo(json.dumps({"path": str(built.path), "packages": [dataclasses.asdict(package) for package in packages]}, indent=2))
        return
    click.echo(str(built.path))
    display.show_packages(packages)
