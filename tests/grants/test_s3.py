"""S3 in a session: the programs of AWS's guide, unmodified, against a real S3; and sessions that were not given it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest

from operator_files import grants_file, shared_directory
from processes import children, command_line
from running_server import Json, RunningServer, ServedSession, serving
from s3_server import KEY_ID, REGION, SECRET, S3Server, s3_server

ROLE, READER = "arn:aws:iam::123456789012:role/CodeInterpreterRole", "arn:aws:iam::123456789012:role/Reader"
UNMAPPED = "arn:aws:iam::123456789012:role/Unmapped"
POINT = "arn:aws:elasticfilesystem:us-west-2:000000000000:access-point/fsap-0123456789abcdef0"
FILE_SYSTEM = {
    "efsConfiguration": {
        "accessPointArn": POINT,
        "mountPath": "/mnt/data",
        "fileSystemArn": "arn:aws:elasticfilesystem:us-west-2:000000000000:file-system/fs-0123456789abcdef0",
    }
}
GRANTS = """
[roles."{role}"]
buckets = ["bucket", "my-bucket", "team-*"]
accounts = ["000000000000"]
access_key_id = "{key}"
secret_access_key = "{secret}"

[roles."{reader}"]
buckets = ["bucket"]
read_only = true
accounts = ["000000000000"]
access_key_id = "{key}"
secret_access_key = "{secret}"

[file_systems."{point}"]
directory = "{directory}"

[networks."subnet-0123456789abcdef0"]
allow = ["web.example.com:443"]

[networks."sg-0123456789abcdef0"]
allow = []
"""
VPC = {"networkMode": "VPC", "vpcConfig": {"subnets": ["subnet-0123456789abcdef0"], "securityGroups": ["sg-0123456789abcdef0"]}}
LARGE_BYTES = 160 * 1024 * 1024  # the 5 GB are in benchmarks/s3.py


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3") / "data") as running:
        running.bucket("bucket", **{"data.csv": "name,value\nA,1\nB,2\nC,3\n"})
        running.bucket("my-bucket")
        running.bucket("foreign", **{"secret.txt": "of others"})
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> Iterator[RunningServer]:
    base = tmp_path_factory.mktemp("served")
    directory = shared_directory(base / "shared")
    text = GRANTS.format(role=ROLE, reader=READER, key=KEY_ID, secret=SECRET, point=POINT, directory=directory)
    options = {"s3_endpoint": s3.url, "grants_file": grants_file(base, text), "region": REGION, "max_sessions": 100}
    with serving(base / "data", **options) as running:
        yield running


def start(server: RunningServer, role: str | None, *, tags: dict[str, str] | None = None, **more: object) -> ServedSession:
    asked: Json = {"executionRoleArn": role} if role else {}
    made = server.create(f"n{uuid4().hex[:8]}", **asked, **({"tags": tags} if tags else {}))
    return server.start(interpreter=made["codeInterpreterId"], **more)


@pytest.fixture(scope="module")
def session(server: RunningServer) -> Iterator[ServedSession]:
    started = start(server, ROLE)
    yield started
    started.end()


def printed(session: ServedSession, command: str) -> str:
    result = session.command(command)
    assert result["isError"] is False, result
    return str(result["structuredContent"]["stdout"])


def test_aws_program_lists_and_copies_in_and_out(session: ServedSession, s3: S3Server) -> None:
    assert "bucket" in printed(session, "aws s3 ls")
    assert printed(session, "aws s3 ls s3://bucket/").split()[-1] == "data.csv"
    printed(session, "aws s3 cp s3://bucket/data.csv . && echo D,4 >> data.csv && aws s3 cp data.csv s3://my-bucket/out/data.csv")
    assert (s3.directory / "my-bucket" / "out" / "data.csv").read_text().endswith("C,3\nD,4\n")
    printed(
        session,
        "aws s3 sync s3://my-bucket/out synced && aws s3 mv s3://my-bucket/out/data.csv s3://team-x/ || aws s3 rm s3://my-bucket/out/data.csv",
    )
    assert "D,4" in printed(session, "cat synced/data.csv")


def test_boto3_reads_and_writes_without_being_told_anything(session: ServedSession, s3: S3Server) -> None:
    code = """
import boto3
s3 = boto3.client("s3")
s3.put_object(Bucket="my-bucket", Key="by boto3.txt", Body=b"written", Metadata={"by": "boto3"})
print(s3.get_object(Bucket="my-bucket", Key="by boto3.txt")["Body"].read().decode())
s3.upload_file("/etc/hostname", "my-bucket", "hostname")
print([one["Key"] for one in s3.list_objects_v2(Bucket="my-bucket")["Contents"]])
print(boto3.resource("s3").Object("bucket", "data.csv").content_length)
s3.delete_objects(Bucket="my-bucket", Delete={"Objects": [{"Key": "by boto3.txt"}, {"Key": "hostname"}]})
"""
    assert session.printed(code).split("\n")[:3] == ["written", "['by boto3.txt', 'hostname']", "23"]


def test_pandas_reads_whole_and_in_chunks_and_writes(session: ServedSession, s3: S3Server) -> None:
    rows = 250_000
    (s3.directory / "bucket" / "large-file.csv").write_text("n,double\n" + "".join(f"{n},{2 * n}\n" for n in range(rows)))
    code = """
import pandas as pd
print(pd.read_csv("s3://bucket/data.csv")["value"].sum())
chunks = pd.read_csv('s3://bucket/large-file.csv', chunksize=100000)
totals = [(len(chunk), int(chunk["double"].sum())) for chunk in chunks]
print([length for length, _ in totals], sum(total for _, total in totals))
pd.DataFrame({"x": [1, 2]}).to_parquet("s3://my-bucket/x.parquet")
print(pd.read_parquet("s3://my-bucket/x.parquet")["x"].tolist())
"""
    assert session.printed(code).splitlines() == ["6", f"[100000, 100000, 50000] {rows * (rows - 1)}", "[1, 2]"]


@pytest.mark.parametrize(
    "command",
    [
        "aws s3 cp s3://foreign/secret.txt .",
        "aws s3 ls s3://foreign/",
        "aws s3 cp s3://bucket/../foreign/secret.txt .",
        "aws s3api copy-object --bucket my-bucket --key stolen --copy-source foreign/secret.txt",
        "aws s3 mb s3://fresh",
        "aws s3 rb s3://my-bucket",
        """aws s3api put-bucket-policy --bucket bucket --policy '{"Statement": []}'""",
        "aws s3 presign s3://bucket/data.csv | xargs curl --fail --silent --show-error",
        "curl --fail --silent --show-error $AWS_ENDPOINT_URL_S3/bucket/data.csv",
        "curl --fail --silent --show-error --proxy $AWS_ENDPOINT_URL_S3 http://example.com/",
        "curl --fail --silent --show-error --proxy $AWS_ENDPOINT_URL_S3 https://example.com/",
    ],
)
def test_what_is_not_granted_is_refused(session: ServedSession, command: str) -> None:
    result = session.command(command)
    assert result["isError"] is True
    assert "of others" not in str(result)


def test_refusal_says_why_in_the_session_and_in_the_log(session: ServedSession, server: RunningServer) -> None:
    result = session.command("aws s3 ls s3://foreign/")
    assert "the bucket foreign is not granted" in result["structuredContent"]["stderr"]
    log = [json.loads(line) for line in server.data_dir.with_suffix(".log").read_text().splitlines()]
    assert any(line.get("session") == session.id and "the bucket foreign is not granted" in line.get("reason", "") for line in log)


def test_read_only_role_reads(server: RunningServer) -> None:
    session = start(server, READER)
    assert printed(session, "aws s3 cp s3://bucket/data.csv -").startswith("name,value")
    assert "may read only" in str(session.command("echo x | aws s3 cp - s3://bucket/new"))
    session.end()


def test_credentials_come_by_the_container_protocol_and_are_nowhere_else(session: ServedSession, server: RunningServer) -> None:
    method = "import boto3\nfound = boto3.Session().get_credentials()\nprint(found.method, found.access_key)"
    how, key_id = session.printed(method).split()
    assert how == "container-role"
    everything = printed(session, "cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; env; ls -A ~; cat ~/.aws/* 2>/dev/null || true")
    assert not [
        line for line in everything.splitlines() if line.startswith(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"))
    ]
    assert not any(secret in everything for secret in (KEY_ID, SECRET, key_id))
    log = server.data_dir.with_suffix(".log").read_text()
    assert not any(secret in log for secret in (KEY_ID, SECRET, key_id))
    document = printed(session, 'curl -s -H "Authorization: $AWS_CONTAINER_AUTHORIZATION_TOKEN" $AWS_CONTAINER_CREDENTIALS_FULL_URI')
    assert not any(secret in document for secret in (KEY_ID, SECRET))
    assert "Expiration" in document


@pytest.mark.parametrize("role", [None, UNMAPPED])
def test_no_role_no_credentials_and_no_way(server: RunningServer, role: str | None) -> None:
    session = start(server, role)
    assert "Unable to locate credentials" in str(session.command("aws s3 ls"))
    assert session.printed("import boto3\nprint(boto3.Session().get_credentials())") == "None"
    assert printed(session, "env | grep -c AWS_ || true").strip() == "0"
    assert "Couldn't connect" in str(session.command("curl --silent --show-error http://127.0.0.1:700/"))
    session.end()


def test_nothing_else_is_reached_with_a_role(session: ServedSession) -> None:
    addresses = "[('127.0.0.1', 22), ('169.254.169.254', 80), ('169.254.170.2', 80), ('10.0.0.1', 80), ('1.1.1.1', 53)]"
    code = f"import socket\nfor address in {addresses}:\n    s = socket.socket()\n    s.settimeout(3)\n    print(s.connect_ex(address))"
    assert "0" not in session.printed(code).split()


def test_door_of_the_broker_cannot_be_taken_over_by_code(session: ServedSession) -> None:
    code = """
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
try:
    s.bind(("127.0.0.1", 700))
except OSError as error:
    print(error.strerror)
"""
    assert session.printed(code).strip() == "Permission denied"


@pytest.mark.slow
def test_large_object_is_copied_in_and_out_within_the_sessions_memory(server: RunningServer, s3: S3Server) -> None:
    """Through a directory of the host, since the workspace lies in memory, and through a pipe."""
    digest = large_object(s3.directory / "bucket" / "large.bin")
    session = start(server, ROLE, tags={"cellblock:memory-mb": "144", "cellblock:disk-mb": "16"}, filesystemConfigurations=[FILE_SYSTEM])
    quiet = "--only-show-errors"
    printed(
        session,
        f"aws s3 cp {quiet} s3://bucket/large.bin /mnt/data/large.bin && aws s3 cp {quiet} /mnt/data/large.bin s3://my-bucket/again.bin",
    )
    assert printed(session, "sha256sum < /mnt/data/large.bin").split()[0] == digest
    assert sha256((s3.directory / "my-bucket" / "again.bin").read_bytes()).hexdigest() == digest
    assert printed(session, f"aws s3 cp {quiet} s3://bucket/large.bin - | sha256sum").split()[0] == digest
    session.end()


def large_object(path: Path) -> str:
    piece = random.Random(6).randbytes(1024 * 1024)
    digest = sha256()
    with path.open("wb") as file:
        for number in range(LARGE_BYTES // len(piece)):
            block = number.to_bytes(8, "big") + piece[8:]
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


def test_nothing_of_the_broker_is_left_when_the_server_stops(tmp_path: Path, s3: S3Server) -> None:
    text = GRANTS.format(role=ROLE, reader=READER, key=KEY_ID, secret=SECRET, point=POINT, directory=tmp_path)
    with serving(tmp_path / "data", s3_endpoint=s3.url, grants_file=grants_file(tmp_path, text)) as server:
        session = start(server, ROLE)
        assert "data.csv" in printed(session, "aws s3 ls s3://bucket/")
        assert any("cellblock.grants.broker.process" in command_line(child) for child in children(server.process.pid))
        server.stop()


@pytest.mark.parametrize("network", [{"networkMode": "PUBLIC"}, VPC], ids=["PUBLIC", "VPC"])
def test_the_broker_serves_sessions_that_have_a_network_too(server: RunningServer, network: Json) -> None:
    made = server.create(f"n{uuid4().hex[:8]}", executionRoleArn=ROLE, networkConfiguration=network)
    with server.session(interpreter=made["codeInterpreterId"]) as session:
        result = session.command("aws s3 cp --only-show-errors s3://bucket/data.csv -")["structuredContent"]
        assert result["stdout"].startswith("name,value"), result
