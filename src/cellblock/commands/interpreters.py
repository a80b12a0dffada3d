"""`cellblock interpreters list`, `create`, `show` and `delete`."""

from __future__ import annotations

import json
from typing import Any

import click

from cellblock.settings.table import Effective
from cellblock.terminal.api_client import client, target, told_in_a_line
from cellblock.terminal.command_line import Commands, json_option, with_effective
from cellblock.terminal.output import plain, print_json, print_table

CONTROL_PLANE = "bedrock-agentcore-control"
COLUMNS = ("id", "name", "status", "created", "description")

with_server = with_effective("data_dir", "region")


@click.group("interpreters", cls=Commands)
def command() -> None:
    """List, make, show and delete interpreters."""


@command.command("list")
@json_option
@with_server
def list_command(effective: Effective, as_json: bool) -> None:
    """List the interpreters of the key's account, and the built-in one.

    Example: cellblock interpreters list
    """
    with told_in_a_line():
        pages = client(CONTROL_PLANE, target(effective)).get_paginator("list_code_interpreters").paginate()
        found = [item for page in pages for item in page["codeInterpreterSummaries"]]
    if as_json:
        print_json(_json(found))
        return
    rows = [
        (
            item["codeInterpreterId"],
            item.get("name", ""),
            item["status"],
            f"{item['createdAt']:%Y-%m-%d %H:%M}",
            item.get("description", ""),
        )
        for item in found
    ]
    print_table(COLUMNS, rows)


@command.command("create")
@click.argument("name")
@click.option("--network", type=click.Choice(("SANDBOX", "PUBLIC")), default="SANDBOX", show_default=True, help="What its sessions reach.")
@click.option("--description", help="What it is for.")
@click.option("--role", "role_arn", help="ARN of its execution role.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag; cellblock:memory-mb and others set limits.")
@json_option
@with_server
def create_command(effective: Effective, name: str, network: str, tags: tuple[str, ...], as_json: bool, **more: str | None) -> None:
    """Make an interpreter: a name, a network mode, a role and limits for its sessions.

    Example: cellblock interpreters create analysis --tag cellblock:memory-mb=2048
    """
    members: dict[str, Any] = {"name": name, "networkConfiguration": {"networkMode": network}, "tags": _tags(tags)}
    members |= {"description": more["description"], "executionRoleArn": more["role_arn"]}
    with told_in_a_line():
        made = client(CONTROL_PLANE, target(effective)).create_code_interpreter(**{key: value for key, value in members.items() if value})
    if as_json:
        print_json(_json(made))
    else:
        click.echo(made["codeInterpreterId"])


@command.command("show")
@click.argument("id")
@json_option
@with_server
def show_command(effective: Effective, id: str, as_json: bool) -> None:
    """Show an interpreter.

    Example: cellblock interpreters show aws.codeinterpreter.v1
    """
    with told_in_a_line():
        found = _json(client(CONTROL_PLANE, target(effective)).get_code_interpreter(codeInterpreterId=id))
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        click.echo(f"{name:22}{plain(value if isinstance(value, str) else json.dumps(value))}")


@command.command("delete")
@click.argument("id")
@json_option
@with_server
def delete_command(effective: Effective, id: str, as_json: bool) -> None:
    """Delete an interpreter that has no live sessions.

    Example: cellblock interpreters delete analysis-0123456789
    """
    with told_in_a_line():
        deleted = client(CONTROL_PLANE, target(effective)).delete_code_interpreter(codeInterpreterId=id)
    if as_json:
        print_json(_json(deleted))
    else:
        click.echo(f"interpreter {deleted['codeInterpreterId']} is deleted")


def _tags(tags: tuple[str, ...]) -> dict[str, str]:
    if wrong := [tag for tag in tags if "=" not in tag]:
        raise click.UsageError(f"--tag {wrong[0]}: write it as NAME=VALUE")
    return dict(tag.split("=", 1) for tag in tags)


def _json(answer: Any) -> Any:
    """An answer without what belongs to the transport, its times as text."""
    if isinstance(answer, dict):
        return {name: _json(value) for name, value in answer.items() if name != "ResponseMetadata"}
    if isinstance(answer, list):
        return [_json(value) for value in answer]
    return answer if isinstance(answer, str | int | float | None) else answer.isoformat()
