"""`cellblock accounts` and `cellblock keys` beside a running server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cellblock.machine.data_directory import read_credentials
from running_server import CELLBLOCK, environment
from service.served import BUILT_IN, Served, off_loop, refused

OTHER_ACCOUNT = "999999999999"
LISTS_ONLY = '{"Statement": {"Effect": "Allow", "Action": "bedrock-agentcore:List*", "Resource": "*"}}'


def command(data_dir: Path, *words: str, status: int = 0) -> str:
    """What a command prints; what it says of a failure when one is expected."""
    done = subprocess.run([CELLBLOCK, *words], env=environment(data_dir=data_dir), capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


async def made(served: Served, *words: str) -> Any:
    """A client with a key that the command line made."""
    key = json.loads(await off_loop(command, served.data_dir, "keys", *words, "--json"))
    return served.data(key_id=key["accessKeyId"], secret=key["secretAccessKey"])


async def test_key_of_another_account_is_used_at_once(served: Served) -> None:
    await off_loop(command, served.data_dir, "accounts", "create", OTHER_ACCOUNT, "--name", "research")
    client = await made(served, "create", "ann", "--account", OTHER_ACCOUNT)
    session = await served.start()
    error = await refused(client.get_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, sessionId=session.id)
    assert error["Error"]["Code"] == "ResourceNotFoundException"
    accounts = json.loads(await off_loop(command, served.data_dir, "accounts", "list", "--json"))
    assert {(one["account"], one["name"]) for one in accounts} == {("000000000000", "000000000000"), (OTHER_ACCOUNT, "research")}


async def test_policy_from_a_file_is_in_force(served: Served, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(LISTS_ONLY)
    client = await made(served, "create", "reader", "--policy", str(policy))
    await off_loop(client.list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN)
    error = await refused(client.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
    assert error["Error"]["Code"] == "AccessDeniedException"


async def test_revoked_key_is_refused_at_the_next_request(served: Served) -> None:
    client = await made(served, "create", "short")
    await off_loop(client.list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN)
    await off_loop(command, served.data_dir, "keys", "revoke", "short")
    error = await refused(client.list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN)
    assert error["Error"]["Code"] == "UnrecognizedClientException"


async def test_rotated_first_key_is_what_env_prints(served: Served) -> None:
    client = await made(served, "rotate", "first")
    await off_loop(client.list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN)
    kept = read_credentials(served.data_dir)
    assert kept is not None
    assert kept.secret != served.key.secret
    assert f"export AWS_SECRET_ACCESS_KEY={kept.secret}" in (await off_loop(command, served.data_dir, "env")).replace("'", "")


async def test_printed_lines_are_for_a_shell(served: Served) -> None:
    lines = (await off_loop(command, served.data_dir, "keys", "create", "shell")).splitlines()
    assert lines[0].startswith("# key shell of account 000000000000")
    assert [line.split("=")[0] for line in lines[1:]] == ["export AWS_ACCESS_KEY_ID", "export AWS_SECRET_ACCESS_KEY"]


async def test_list_shows_states_and_whole_ids_and_no_secret(served: Served) -> None:
    await off_loop(command, served.data_dir, "keys", "create", "gone", "--expires", "90d")
    await off_loop(command, served.data_dir, "keys", "revoke", "gone")
    listed = await off_loop(command, served.data_dir, "keys", "list")
    assert served.key.id in listed
    assert served.key.secret not in listed
    assert [line.split()[1] + " " + line.split()[3] for line in listed.splitlines()[1:]] == ["first in", "gone revoked"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("keys", "create", "x", "--account", OTHER_ACCOUNT), 1, f"cellblock accounts create {OTHER_ACCOUNT}"),
        (("keys", "create", "first"), 1, "choose another name"),
        (("keys", "create", "x", "--policy", "nowhere.json"), 1, "give a file, or the JSON itself"),
        (("keys", "create", "x", "--policy", "{}"), 1, "Statement must be"),
        (("keys", "create", "two words"), 2, "a key's name has"),
        (("keys", "create", "x", "--expires", "soon"), 2, "45s, 30m, 12h or 90d"),
        (("keys", "revoke", "nobody"), 1, "cellblock keys list"),
        (("keys", "rotate", "nobody"), 1, "cellblock keys list"),
        (("accounts", "create", "12"), 2, "12 digits"),
        (("accounts", "create", "000000000000"), 1, "cellblock accounts list"),
    ],
)
async def test_mistake_is_told_with_the_next_step(served: Served, words: tuple[str, ...], status: int, said: str) -> None:
    assert said in await off_loop(command, served.data_dir, *words, status=status)
