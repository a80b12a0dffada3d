"""Certificates of Create and Start: who trusts them in a session, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from cellblock.grants import certificates
from cellblock.grants.certificates import NoCertificate
from operator_files import Authority, make_authority, secrets_dir
from running_server import BUILT_IN, Json, RunningServer, ServedSession, refused, serving, until

PREFIX = "arn:aws:secretsmanager:us-west-2:000000000000:secret:"
OURS, FOLDER, PLAIN, ABSENT = f"{PREFIX}our-ca-AbCdEf", f"{PREFIX}cas/second-AbCdEf", f"{PREFIX}note-AbCdEf", f"{PREFIX}absent-AbCdEf"
SERVER = """
import http.server, os, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8443), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
open("serving", "w").close()
server.serve_forever()
"""
FETCH = "https.get('https://localhost:8443/page', r => r.on('data', d => console.log(String(d)))).on('error', e => console.log(e.code))"
CLIENTS = {
    "curl": "curl -s --show-error https://localhost:8443/page",
    "openssl through Python": """python -c 'import urllib.request as u; print(u.urlopen("https://127.0.0.1:8443/page").read().decode())'""",
    "requests": """python -c 'import requests; print(requests.get("https://localhost:8443/page").text)'""",
    "httpx": """python -c 'import httpx; print(httpx.get("https://localhost:8443/page").text)'""",
    "boto3": """python -c 'import boto3
s3 = boto3.client("s3", endpoint_url="https://localhost:8443", aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
print(s3.get_object(Bucket="folder", Key="page")["Body"].read().decode())'""",
    "Node": f"node -e \"const https = require('https'); {FETCH}\"",
    "Node's fetch": """node -e "fetch('https://localhost:8443/page').then(r => r.text()).then(console.log, e => console.log(e.code))" """,
    "Deno": """deno eval "console.log(await (await fetch('https://localhost:8443/page')).text())" """,
    "git": "git ls-remote https://localhost:8443/repository.git && echo of the page",
}


def location(arn: str) -> Json:
    return {"location": {"secretsManager": {"secretArn": arn}}}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority("Ours")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[RunningServer]:
    base = tmp_path_factory.mktemp("certificates")
    secrets = secrets_dir(
        base / "secrets", **{OURS: authority.certificate, PLAIN: "no certificate", FOLDER: make_authority("2").certificate}
    )
    with serving(base / "data", secrets_dir=secrets, max_sessions=100) as running:
        yield running


def with_server(session: ServedSession, authority: Authority) -> ServedSession:
    """The session, with a server on its loopback whose certificate is by that authority."""
    session.write(**{"server.py": SERVER, "page": "of the page", "folder/page": "of the page"})
    session.write(**{"server.pem": authority.server_key + authority.server_certificate})
    session.command("git init -q --bare repository.git && git -C repository.git update-server-info")
    session.invoke("startCommandExecution", command="python server.py")
    until(lambda: "serving" in str(session.invoke("listFiles")))
    return session


@pytest.fixture(scope="module")
def trusting(server: RunningServer, authority: Authority) -> Iterator[ServedSession]:
    with server.session(certificates=[location(OURS)]) as session:
        yield with_server(session, authority)


@pytest.fixture(scope="module")
def strange(server: RunningServer, authority: Authority) -> Iterator[ServedSession]:
    with server.session() as session:
        yield with_server(session, authority)


@pytest.mark.parametrize("client", CLIENTS)
def test_client_trusts_the_certificate_of_the_sessions_start(trusting: ServedSession, strange: ServedSession, client: str) -> None:
    if client == "git" and not shutil.which("git"):
        pytest.skip("needs git (apt install git)")
    assert "of the page" not in str(strange.command(CLIENTS[client])), "it is trusted without"
    assert "of the page" in trusting.command(CLIENTS[client])["structuredContent"]["stdout"]


def test_running_kernel_trusts_it_too(trusting: ServedSession) -> None:
    code = "import requests\nprint(requests.get('https://localhost:8443/page').text)"
    assert trusting.printed(code).strip() == "of the page"


def test_certificates_of_the_interpreter_and_of_the_start_are_both_trusted(server: RunningServer, authority: Authority) -> None:
    made = server.create(f"trusting_{uuid4().hex[:8]}", certificates=[location(OURS)])
    with server.session(interpreter=made["codeInterpreterId"], certificates=[location(FOLDER)]) as session:
        count = session.command("grep -c BEGIN $SSL_CERT_FILE")["structuredContent"]["stdout"]
        plain = certificates.bundle([]).count("BEGIN")
        assert int(count) == plain + 2
        assert "of the page" in with_server(session, authority).command(CLIENTS["curl"])["structuredContent"]["stdout"]


def test_session_cannot_change_what_it_trusts_for_good(trusting: ServedSession) -> None:
    assert "Read-only file system" in str(trusting.command("echo x >> $SSL_CERT_FILE"))


@pytest.mark.parametrize(("arn", "why"), [(ABSENT, "is not known"), (PLAIN, "holds no certificates")])
def test_certificate_that_is_not_there_is_refused_at_create_and_at_start(server: RunningServer, arn: str, why: str) -> None:
    asked = [location(OURS), location(arn)]
    sandbox = {"networkMode": "SANDBOX"}
    made = refused(server.control.create_code_interpreter, name=f"n{uuid4().hex[:8]}", networkConfiguration=sandbox, certificates=asked)
    begun = refused(server.data.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, certificates=asked)
    for response in (made, begun):
        assert response["Error"]["Code"] == "ValidationException"
        assert response["fieldList"][0]["name"] == "certificates[1].location.secretsManager.secretArn"
        assert why in response["Error"]["Message"]
        assert arn in response["Error"]["Message"]


def test_no_arn_leads_out_of_the_directory(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "outside.pem").write_text(authority.certificate)
    secrets = secrets_dir(tmp_path / "secrets")
    (secrets / "arn:aws:secretsmanager:us-west-2:000000000000:secret:").mkdir()
    with pytest.raises(NoCertificate, match="is not known"):
        certificates.find(str(secrets), f"{PREFIX}/../../outside")


def test_only_certificates_leave_a_file(tmp_path: Path, authority: Authority) -> None:
    secrets = secrets_dir(tmp_path / "secrets", **{OURS: f"password\n{authority.server_key}{authority.certificate}"})
    assert certificates.find(str(secrets), OURS).strip() == authority.certificate.strip()


def test_server_without_secrets_says_which_setting_names_them() -> None:
    with pytest.raises(NoCertificate, match="CELLBLOCK_SECRETS_DIR"):
        certificates.find("", OURS)
