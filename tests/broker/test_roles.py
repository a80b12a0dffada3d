"""Where the keys of a role come from: static ones, a profile, or STS; and that they are renewed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import boto3
import pytest

from broker.conftest import ROLE_ARN, Serving
from broker.raw_upstream import upstream
from cellblock.grants.grants_file import Role
from s3_server import KEY_ID, REGION, SECRET, S3Server, free_port, wait_for_port

MOTO = Path(sys.executable).with_name("moto_server")
ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIA{number:016}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>{expiration}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """moto's server, which has an STS."""
    port = free_port()
    with subprocess.Popen([MOTO, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_port(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture
def own_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's own file of profiles."""
    (tmp_path / "credentials").write_text(f"[minio]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.mark.usefixtures("own_profile")
async def test_profile_of_the_operator_stands_for_a_role(s3: S3Server, serving: Serving) -> None:
    async with serving(s3.url, role=Role(buckets=("mine",), profile="minio")) as served:
        assert (await served.ask("GET", "/mine/greeting.txt")).body == "hello"


@pytest.mark.usefixtures("own_profile")
async def test_role_is_assumed_at_the_token_service_in_the_sessions_name(moto: str, serving: Serving) -> None:
    with upstream() as s3:
        async with serving(s3.url, role=Role(buckets=("mine",), profile="minio", assume=True), token_endpoint=moto) as served:
            assert (await served.ask("GET", "/mine/key")).body == "ok"
            await served.ask("GET", "/mine/key")
    used = {head.decode().partition("Credential=")[2].partition("/")[0] for head in s3.heads}
    assert len(used) == 1, "it is assumed once"
    (key_id,) = used
    token = s3.header("x-amz-security-token")
    assert token
    who = boto3.client(
        "sts", endpoint_url=moto, region_name=REGION, aws_access_key_id=key_id, aws_secret_access_key="x", aws_session_token=token
    )
    assert who.get_caller_identity()["Arn"] == ROLE_ARN.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/s-1"


async def test_token_service_that_cannot_be_reached_is_told_without_secrets(serving: Serving) -> None:
    role = Role(buckets=("mine",), access_key_id=KEY_ID, secret_access_key=SECRET, assume=True)
    with upstream() as s3:
        async with serving(s3.url, role=role, token_endpoint=f"http://127.0.0.1:{free_port()}") as served:
            answer = await served.send("GET", "/_cellblock/credentials", headers={"Authorization": served.door.token})
    assert (answer.status, "no credentials for" in answer.body) == (503, True)
    assert SECRET not in answer.body
    assert s3.heads == []


async def test_credentials_that_expire_are_renewed(serving: Serving) -> None:
    assumed: list[str] = []

    class TokenService(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assumed.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            expiration = soon() if len(assumed) == 1 else "2999-01-01T00:00:00Z"
            body = ASSUMED.format(number=len(assumed), expiration=expiration).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), TokenService)
    Thread(target=server.serve_forever, daemon=True).start()
    role = Role(buckets=("mine",), access_key_id=KEY_ID, secret_access_key=SECRET, assume=True)
    with upstream() as s3:
        async with serving(s3.url, role=role, token_endpoint=f"http://127.0.0.1:{server.server_port}") as served:
            for _ in range(3):
                assert (await served.ask("GET", "/mine/key")).body == "ok"
    server.shutdown()
    assert [number for number in (1, 2, 3) if f"ASIA{number:016}" in s3.heads[-1].decode()] == [2]
    assert len(assumed) == 2
    assert all("RoleSessionName=s-1" in request for request in assumed)


def soon() -> str:
    """A time at which credentials are good for some minutes more, and so due to be renewed."""
    return (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
