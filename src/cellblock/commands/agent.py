"""`cellblock agent create`, `deploy`, `list`, `logs` and `delete`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cellblock.agents import process, registry
from cellblock.agents.environment import python_of
from cellblock.agents.registry import REQUIREMENTS, Agent, directory_of
from cellblock.settings.table import Settings
from cellblock.terminal.command_line import Commands, fail, json_option, with_settings
from cellblock.terminal.output import print_table

_name_option = click.option("--name", required=True, help="The agent's name.")


@click.group("agent", cls=Commands)
def command() -> None:
    """Serve handlers as AgentCore Runtime does, each in a process of its own on this machine."""


@command.command("create")
@_name_option
@click.option("--handler", required=True, help="MODULE.FUNCTION, as agent_handler.handler.")
@click.option("--runtime", default="", help="Its Python, as python3.11.  [default: this one]")
@click.option("--memory", "memory_mb", default=512, show_default=True, type=click.IntRange(64), help="Memory in MB.")
@click.option("--timeout", "timeout_seconds", default=300, show_default=True, type=click.IntRange(1), help="Longest invocation in seconds.")
@click.option(
    "--source", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".", help="Its directory.  [default: here]"
)
@click.option("--python", default="", help="An interpreter that has all it needs, instead of an environment of its own.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Where it listens on this machine.  [default: a free port]")
@with_settings("data_dir")
def create_command(settings: Settings, source: Path, port: int, **more: Any) -> None:
    """Take note of a handler and its requirements.txt.

    Example: cellblock agent create --name analyst --handler agent_handler.handler --memory 512 --timeout 300
    """
    requirements = source.resolve() / REQUIREMENTS
    agent = Agent(
        source=str(source.resolve()),
        requirements=str(requirements) if requirements.is_file() else "",
        port=port or registry.free_port(),
        **more,
    )
    if agent.runtime and not agent.runtime.startswith("python3."):
        fail(f"{agent.runtime} is no runtime that is served here; write python3.11, or leave it out")
    registry.create(settings.data_dir, agent)
    click.echo(f"agent {agent.name} is created; start it with: cellblock agent deploy --name {agent.name}")


@command.command("deploy")
@_name_option
@with_settings("data_dir")
def deploy_command(settings: Settings, name: str) -> None:
    """Start an agent in the background, or start it again with the code as it is.

    Example: cellblock agent deploy --name analyst
    """
    agent, directory = registry.find(settings.data_dir, name), directory_of(settings.data_dir, name)
    python = python_of(agent, directory)
    process.stop(directory)
    process.start(settings.data_dir, directory, agent, python)
    click.echo(f"agent {name} answers POST {agent.url}/invocations and GET {agent.url}/ping")


@command.command("list")
@json_option
@with_settings("data_dir")
def list_command(settings: Settings, as_json: bool) -> None:
    """List the agents and how they do.

    Example: cellblock agent list --json
    """
    found = [(agent, _state(settings, agent)) for agent in registry.every(settings.data_dir)]
    if as_json:
        click.echo(json.dumps([{**asdict(agent), "url": agent.url, "state": state} for agent, state in found], indent=2))
        return
    print_table(("agent", "state", "address", "handler"), [(agent.name, state, agent.url, agent.handler) for agent, state in found])


@command.command("logs")
@_name_option
@click.option("--lines", default=50, show_default=True, type=click.IntRange(1), help="How many of the last lines.")
@with_settings("data_dir")
def logs_command(settings: Settings, name: str, lines: int) -> None:
    """Print what an agent printed.

    Example: cellblock agent logs --name analyst --lines 20
    """
    registry.find(settings.data_dir, name)
    click.echo(process.log_text(directory_of(settings.data_dir, name), lines))


@command.command("delete")
@_name_option
@with_settings("data_dir")
def delete_command(settings: Settings, name: str) -> None:
    """Stop an agent and forget it, its environment and its log.

    Example: cellblock agent delete --name analyst
    """
    registry.find(settings.data_dir, name)
    process.stop(directory_of(settings.data_dir, name))
    registry.remove(settings.data_dir, name)
    click.echo(f"agent {name} is deleted")


def _state(settings: Settings, agent: Agent) -> str:
    if process.supervisor_pid(directory_of(settings.data_dir, agent.name)) is None:
        return "stopped"
    return "running" if process.is_healthy(agent) else "starting"
