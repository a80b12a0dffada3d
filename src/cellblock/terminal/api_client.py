"""The commands' side of the API: botocore's clients for the server of the data directory, or for the one that the environment names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, EndpointConnectionError

from cellblock.errors import CommandFailed
from cellblock.machine.data_directory import DataDirectoryError, read_credentials
from cellblock.machine.endpoint import NoServer, read_endpoint
from cellblock.settings.table import Effective, Settings, host_environment

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"
READ_SECONDS = 310.0
CONNECT_SECONDS = 10.0


class RequestRefused(CommandFailed):
    """The server does not do it, and says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and the key to use; without one botocore looks for it at its usual places."""

    url: str
    region: str
    key_id: str | None = None
    secret: str | None = None


def target(effective: Effective) -> Target:
    """The server that `--data-dir` names, else the environment, as `cellblock env` prints it, else the usual directory.

    Raises CommandFailed.
    """
    settings, environment = effective.settings, host_environment()
    is_named = effective.origins["data_dir"] == "--data-dir"
    if not is_named and (url := environment.get(ENDPOINT_VARIABLE)):
        return Target(url, environment.get("AWS_REGION", settings.region))
    return _of_data_directory(settings)


def _of_data_directory(settings: Settings) -> Target:
    try:
        url = read_endpoint(settings.data_dir)
    except NoServer as error:
        raise CommandFailed(f"{error}; for another machine's server put the lines of its `cellblock env` into the environment") from error
    key = read_credentials(settings.data_dir)
    if key is None:
        raise DataDirectoryError(f"{settings.data_dir} holds no credentials; make a key with: cellblock keys create NAME")
    return Target(url, settings.region, key.id, key.secret)


def client(service: str, target: Target) -> Any:
    """A client of "bedrock-agentcore" or "bedrock-agentcore-control" that tries once; no answer is shorter than the call."""
    return botocore.session.Session().create_client(
        service,
        endpoint_url=target.url,
        region_name=target.region,
        aws_access_key_id=target.key_id,
        aws_secret_access_key=target.secret,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=READ_SECONDS, connect_timeout=CONNECT_SECONDS),
    )


@contextlib.contextmanager
def told_in_a_line() -> Iterator[None]:
    """What the server refuses and what the network does, as RequestRefused."""
    try:
        yield
    except ClientError as error:
        found = error.response["Error"]
        raise RequestRefused(f"{found['Message'] or found['Code']} ({found['Code']})") from error
    except (EndpointConnectionError, ConnectionError) as error:
        raise RequestRefused(f"no server answers: {error}; start one with: cellblock serve") from error
    except BotoCoreError as error:
        raise RequestRefused(f"the request could not be made: {error}") from error
