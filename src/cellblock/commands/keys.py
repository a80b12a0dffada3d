"""`cellblock keys create`, `list`, `revoke` and `rotate`."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import click

from cellblock.errors import AccessKeyNotFound, CommandFailed
from cellblock.model.policies import EVERYTHING, Policy, PolicyError
from cellblock.model.resources import AccessKey, new_access_key, new_secret, now
from cellblock.service.first_key import refresh_file_of
from cellblock.settings.table import Settings
from cellblock.store.protocol import Store
from cellblock.terminal.command_line import Commands, json_option, with_settings
from cellblock.terminal.durations import duration
from cellblock.terminal.output import print_json, print_table, time_text
from cellblock.terminal.store_commands import on_store

NAME_FORM = r"[A-Za-z0-9+=,.@_-]{1,64}"  # IAM's, of a user

_account_option = click.option("--account", "of", help="Account of the key.  [default: the setting CELLBLOCK_ACCOUNT]")


@click.group("keys", cls=Commands)
def command() -> None:
    """Hand out, list, revoke and rotate access keys."""


@command.command("create")
@click.argument("name")
@_account_option
@click.option("--policy", "policy_text", help="What it may do: IAM's JSON, or a file that holds it.  [default: everything]")
@click.option("--expires", callback=duration, help="After how long it is no key any more, as 12h or 90d.")
@json_option
@with_settings("data_dir", "store")
def create_command(
    settings: Settings, name: str, of: str | None, policy_text: str | None, expires: timedelta | None, as_json: bool
) -> None:
    """Make an access key and print it as lines for a shell; its secret is shown this once.

    Example: cellblock keys create reader --policy policy.json --expires 90d
    """
    if not re.fullmatch(NAME_FORM, name):
        raise click.UsageError("a key's name has 1 to 64 letters, digits and + = , . @ _ -")
    policy = EVERYTHING if policy_text is None else _policy(policy_text)
    expires_at = None if expires is None else now() + expires
    key = new_access_key(account=of or settings.account, name=name, policy=policy, expires_at=expires_at)
    _print_secret(on_store(settings, lambda store: store.create_access_key(key)), as_json)


@command.command("list")
@click.option("--account", "of", help="Keys of this account alone.")
@json_option
@with_settings("data_dir", "store")
def list_command(settings: Settings, of: str | None, as_json: bool) -> None:
    """List the access keys and what they may do.

    Example: cellblock keys list --account 111122223333
    """
    keys = on_store(settings, lambda store: store.list_access_keys(of))
    if as_json:
        print_json([_members(key) for key in keys])
        return
    rows = [(one.account, one.name, one.id, _state(one), time_text(one.created_at), time_text(one.expires_at)) for one in keys]
    print_table(("account", "name", "key", "state", "created", "expires"), rows)


@command.command("revoke")
@click.argument("key")
@_account_option
@json_option
@with_settings("data_dir", "store")
def revoke_command(settings: Settings, key: str, of: str | None, as_json: bool) -> None:
    """Revoke an access key, by its id or name; a running server refuses it from the next request on.

    Example: cellblock keys revoke reader
    """

    async def revoke(store: Store) -> AccessKey:
        found = await _named(store, key, of or settings.account)
        return await store.revoke_access_key(found.id)

    revoked = on_store(settings, revoke)
    refresh_file_of(revoked, settings.data_dir)
    if as_json:
        print_json(_members(revoked))
    else:
        click.echo(f"key {revoked.name} ({revoked.id}) is revoked")


@command.command("rotate")
@click.argument("key")
@_account_option
@click.option("--grace", callback=duration, help="How long the old secret is good beside the new one, as 1h.  [default: not at all]")
@json_option
@with_settings("data_dir", "store")
def rotate_command(settings: Settings, key: str, of: str | None, grace: timedelta | None, as_json: bool) -> None:
    """Give an access key, by its id or name, another secret and print it this once.

    Example: cellblock keys rotate reader --grace 1h
    """

    async def rotate(store: Store) -> AccessKey:
        found = await _named(store, key, of or settings.account)
        return await store.rotate_access_key(found.id, new_secret(), old_until=None if grace is None else now() + grace)

    rotated = on_store(settings, rotate)
    refresh_file_of(rotated, settings.data_dir)
    _print_secret(rotated, as_json)


async def _named(store: Store, key: str, account: str) -> AccessKey:
    """The key in force with this id, or with this name in the account."""
    for found in await store.list_access_keys():
        if found.revoked_at is None and (found.id == key or (found.name, found.account) == (key, account)):
            return found
    raise AccessKeyNotFound(f"{key} of account {account}")


def _policy(text: str) -> Policy:
    try:
        return Policy.parse(text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"the policy file {text} cannot be read: {error}; give a file, or the JSON itself") from error
    except PolicyError as error:
        raise CommandFailed(str(error)) from error


def _print_secret(key: AccessKey, as_json: bool) -> None:
    if as_json:
        print_json(_members(key) | {"secretAccessKey": key.secret})
        return
    click.echo(f"# key {key.name} of account {key.account}; the secret is not shown again")
    click.echo(f"export AWS_ACCESS_KEY_ID={key.id}\nexport AWS_SECRET_ACCESS_KEY={key.secret}")


def _state(key: AccessKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "in force" if key.is_usable(now()) else "expired"


def _members(key: AccessKey) -> dict[str, object]:
    return {
        "accessKeyId": key.id,
        "name": key.name,
        "account": key.account,
        "state": _state(key),
        "createdAt": time_text(key.created_at),
        "expiresAt": time_text(key.expires_at) or None,
        "revokedAt": time_text(key.revoked_at) or None,
        "oldSecretUntil": time_text(key.old_secret_until) or None,
        "policy": json.loads(key.policy.to_json()),
    }
