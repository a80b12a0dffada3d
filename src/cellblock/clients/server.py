"""Which server a client talks to: the one that is named, the one of `cellblock env`, or the one of the data directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cellblock.clients.results import ClientError
from cellblock.machine.data_directory import DataDirectoryError, read_credentials
from cellblock.machine.endpoint import NoServer, read_endpoint
from cellblock.settings.table import SettingsError, host_environment, load

URL_VARIABLES = ("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", "BEDROCK_AGENTCORE_DP_ENDPOINT")
KEY_VARIABLE, SECRET_VARIABLE = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
AUTHORITY_VARIABLE = "AWS_CA_BUNDLE"
DEFAULT_REGION = "us-east-1"


class ServerNotFound(ClientError):
    """Nothing says where a server is, or none runs there; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address, and a key of it; `authority` is a file in PEM for a certificate that no public authority signed."""

    url: str
    key_id: str
    secret: str
    region: str = DEFAULT_REGION
    authority: str = ""

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Server({self.url!r}, {self.key_id!r})"


def find_server(data_dir: str | Path | None = None) -> Server:
    """The server of `cellblock env`'s variables, or the one that runs on the data directory. Raises ServerNotFound."""
    named = named_server() if data_dir is None else None
    return named or _of_directory(data_dir)


def named_server() -> Server | None:
    """The server of `cellblock env`'s variables; None without them. Raises ServerNotFound when they are not complete."""
    environment = host_environment()
    url = next((environment[name] for name in URL_VARIABLES if environment.get(name)), "")
    key_id, secret = environment.get(KEY_VARIABLE, ""), environment.get(SECRET_VARIABLE, "")
    region = next((environment[name] for name in REGION_VARIABLES if environment.get(name)), DEFAULT_REGION)
    if not url:
        return None
    if key_id and secret:
        return Server(url.rstrip("/"), key_id, secret, region, environment.get(AUTHORITY_VARIABLE, ""))
    raise ServerNotFound(f'{URL_VARIABLES[0]} is set and {KEY_VARIABLE} or {SECRET_VARIABLE} is not: eval "$(cellblock env)" sets all')


def _of_directory(data_dir: str | Path | None) -> Server:
    try:
        settings = load() if data_dir is None else load({"data_dir": str(Path(data_dir).absolute())})
        url = read_endpoint(settings.data_dir)
        key = read_credentials(settings.data_dir)
    except (NoServer, DataDirectoryError, SettingsError) as error:
        raise ServerNotFound(
            f"{error}; for another machine's server set what `cellblock env` prints there, or give Server(url, key_id, secret)"
        ) from None  # which says it all
    if key is None:
        raise ServerNotFound(f"{settings.data_dir} holds no credentials; make a key on the server and set the variables of `cellblock env`")
    return Server(url, key.id, key.secret, settings.region, host_environment().get(AUTHORITY_VARIABLE, ""))
