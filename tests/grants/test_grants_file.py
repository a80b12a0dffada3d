"""The operator's file of grants: what it may say, who may read it, and whose its things are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cellblock.grants import grants_file
from cellblock.settings.table import SettingsError
from operator_files import grants_file as written
from operator_files import shared_directory
from running_server import BUILT_IN, Json, RunningServer, refused, serving

ROLE = "arn:aws:iam::123456789012:role/Reader"
KEYS = 'access_key_id = "AKIAEXAMPLE"\nsecret_access_key = "verysecret"\n'
POINT = "arn:aws:elasticfilesystem:us-west-2:{}:access-point/fsap-{:017x}"
OWN, OTHERS, ABSENT, UNKNOWN = POINT.format("0" * 12, 1), POINT.format("1" * 12, 2), POINT.format("0" * 12, 3), POINT.format("0" * 12, 4)
SANDBOX = {"networkMode": "SANDBOX"}


def configuration(point: str, path: str) -> Json:
    arn = point.partition(":access-point/")[0] + ":file-system/fs-0123456789abcdef0"
    return {"efsConfiguration": {"accessPointArn": point, "mountPath": path, "fileSystemArn": arn}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    base = tmp_path_factory.mktemp("granted")
    directories = {OWN: shared_directory(base / "own"), OTHERS: shared_directory(base / "others"), ABSENT: base / "absent"}
    text = "".join(f'[file_systems."{arn}"]\ndirectory = "{directory}"\n' for arn, directory in directories.items())
    with serving(base / "data", grants_file=written(base, f'{text}[roles."{ROLE}"]\nbuckets = ["b-1"]\n{KEYS}')) as running:
        yield running


def refused_create(server: RunningServer, **members: Any) -> Json:
    create = server.control.create_code_interpreter
    return refused(create, **{"name": f"n{uuid4().hex[:8]}", "networkConfiguration": SANDBOX} | members)


def refused_start(server: RunningServer, **members: Any) -> Json:
    return refused(server.data.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, **members)


def test_file_systems_of_the_interpreter_and_of_the_start_are_mounted(server: RunningServer) -> None:
    made = server.create(f"n{uuid4().hex[:8]}", filesystemConfigurations=[configuration(OWN, "/mnt/data")])
    with server.session(interpreter=made["codeInterpreterId"], filesystemConfigurations=[configuration(OWN, "/mnt/more/")]) as session:
        assert (
            session.command("cat /mnt/data/kept.txt /mnt/more/kept.txt")["structuredContent"]["stdout"].splitlines()
            == ["kept on the host"] * 2
        )


@pytest.mark.parametrize("point", [UNKNOWN, OTHERS])
def test_unknown_file_system_and_that_of_another_account_are_refused_alike(server: RunningServer, point: str) -> None:
    asked = [configuration(OWN, "/mnt/data"), configuration(point, "/mnt/other")]
    for response in (refused_create(server, filesystemConfigurations=asked), refused_start(server, filesystemConfigurations=asked)):
        assert response["Error"]["Code"] == "ValidationException"
        assert response["fieldList"][0]["name"] == "filesystemConfigurations[1].efsConfiguration.accessPointArn"
        assert f"{point} is not known" in response["Error"]["Message"]


@pytest.mark.parametrize("path", ["/mnt/..", "/mnt/.", "/mnt/data/"])
def test_mount_path_is_one_fresh_name(server: RunningServer, path: str) -> None:
    response = refused_start(server, filesystemConfigurations=[configuration(OWN, "/mnt/data"), configuration(OWN, path)])
    assert response["Error"]["Code"] == "ValidationException"
    assert response["fieldList"][0]["name"] == "filesystemConfigurations[1].efsConfiguration.mountPath"


def test_failed_mount_fails_the_start_with_its_reason_and_leaves_no_session(server: RunningServer) -> None:
    response = refused_start(server, filesystemConfigurations=[configuration(ABSENT, "/mnt/data")])
    assert "the file system at /mnt/data could not be mounted: No such file or directory" in response["Error"]["Message"]
    assert str(server.data_dir.parent) not in response["Error"]["Message"]
    listed = server.data.list_code_interpreter_sessions(codeInterpreterIdentifier=BUILT_IN, status="READY")
    assert listed["items"] == []


def test_role_of_another_account_is_refused_and_unmapped_role_is_kept(server: RunningServer) -> None:
    response = refused_create(server, executionRoleArn=ROLE)
    assert response["Error"]["Code"] == "AccessDeniedException"
    assert server.create(f"n{uuid4().hex[:8]}", executionRoleArn="arn:aws:iam::123456789012:role/Unmapped")["status"] == "READY"


def test_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    assert grants_file.read(str(path)) == grants_file.Granted()
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        grants_file.read(str(path))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[roles", "is not TOML"),
        (f'[roles."{ROLE}"]\nbuckets = ["b-1"]\n', "needs access_key_id and secret_access_key, or profile, or assume"),
        (f'[roles."{ROLE}"]\nbuckets = ["b-1"]\naccess_key_id = "verysecret"', "together"),
        (f'[roles."{ROLE}"]\nbuckets = ["b-1"]\nprofile = "p"\n{KEYS}', "one of them"),
        (f'[roles."{ROLE}"]\nbuckets = ["B/1"]\n{KEYS}', "no bucket"),
        (f'[roles."{ROLE}"]\nbucket = ["b-1"]\n{KEYS}', "unknown field `bucket`"),
        (f'[roles."{ROLE}"]\nbuckets = ["b-1"]\n{KEYS}read_only = "verysecret"', "Expected `bool`"),
        ('[file_systems."arn:x"]\ndirectory = "relative"', "absolute"),
        ('[networks."sg-12345678"]\nallow = ["http://example.com"]', "is no entry"),
        ('[networks."sg-12345678"]\nallow = ["10.0.0.1/8"]', "has host bits set"),
        ('[networks."sg-12345678"]\nallow = ["example.com:70000"]', "no ports"),
    ],
)
def test_mistake_in_the_file_ends_the_start_without_quoting_secrets(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        grants_file.read(str(written(tmp_path, text)))
    assert why in str(caught.value)
    assert "verysecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("arn", "accounts", "account", "may"),
    [
        (ROLE, (), "123456789012", True),
        (ROLE, (), "000000000000", False),
        (ROLE, ("000000000000",), "000000000000", True),
        (ROLE, ("000000000000",), "123456789012", False),
    ],
)
def test_thing_is_for_the_account_of_its_arn_unless_accounts_are_listed(
    arn: str, accounts: tuple[str, ...], account: str, may: bool
) -> None:
    assert grants_file.may_use(arn, accounts, account) is may
