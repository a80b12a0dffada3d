"""Where the server of a data directory is found, and what a client must export to use it."""

from __future__ import annotations

import shlex
import socket
from pathlib import Path
from urllib.parse import urlsplit

from cellblock.errors import CommandFailed
from cellblock.machine.data_directory import DataDirectoryError, read_credentials

ENDPOINT_NAME = "endpoint"
OPERATOR_SOCKET_NAME = "operator.sock"
CONNECT_SECONDS = 2.0
PORTS = {"http": 80, "https": 443}
ANY_HOST = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # what a client of this machine connects to instead


class NoServer(CommandFailed):
    """No server runs on the data directory."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(f"no server runs on {data_dir}; start one with: cellblock serve --data-dir {shlex.quote(str(data_dir))}")


def write_endpoint(data_dir: Path, url: str) -> None:
    """Say where the server of this directory is reached."""
    for everywhere, here in ANY_HOST.items():
        url = url.replace(f"://{everywhere}:", f"://{here}:")
    temporary = data_dir / f".{ENDPOINT_NAME}"
    temporary.write_text(url + "\n")
    temporary.replace(data_dir / ENDPOINT_NAME)


def remove_endpoint(data_dir: Path) -> None:
    """The server is gone."""
    (data_dir / ENDPOINT_NAME).unlink(missing_ok=True)


def read_endpoint(data_dir: Path) -> str:
    """Where the server listens that runs. Raises NoServer."""
    try:
        endpoint = (data_dir / ENDPOINT_NAME).read_text().strip()
    except OSError as error:
        raise NoServer(data_dir) from error
    parts = urlsplit(endpoint)
    try:
        socket.create_connection((parts.hostname or "", parts.port or PORTS[parts.scheme]), CONNECT_SECONDS).close()
    except OSError as error:
        raise NoServer(data_dir) from error
    return endpoint


def exports(data_dir: Path, *, region: str, models: Path) -> str:
    """The `export` lines for a shell; `models` is what AWS_DATA_PATH is to name. Raises NoServer and DataDirectoryError."""
    variables = client_variables(data_dir, region=region) | {"AWS_DATA_PATH": str(models)}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def client_variables(data_dir: Path, *, region: str) -> dict[str, str]:
    """What leads AWS clients to the server that runs. Raises NoServer and DataDirectoryError."""
    endpoint = read_endpoint(data_dir)
    key = read_credentials(data_dir)
    if key is None:
        raise DataDirectoryError(
            f"{data_dir} holds no credentials: the first key is revoked, or the file is gone;"
            " a start of the server writes it again, and `cellblock keys create` makes other keys"
        )
    return {
        "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": endpoint,
        "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL": endpoint,
        "BEDROCK_AGENTCORE_DP_ENDPOINT": endpoint,
        "BEDROCK_AGENTCORE_CP_ENDPOINT": endpoint,
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }
