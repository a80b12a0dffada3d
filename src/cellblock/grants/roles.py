"""The credentials that stand for a role: static keys, a profile, or what sts:AssumeRole gives; fetched when first needed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

import botocore.session
from botocore.credentials import AssumeRoleCredentialFetcher, Credentials, DeferredRefreshableCredentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError

from cellblock.grants.grants_file import Role

_ASSUMED_SECONDS = 3600


class NoCredentials(Exception):
    """A role has none at the moment, and why; without any secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenService:
    """Where roles are assumed; the region's own endpoint of AWS when there is no URL."""

    endpoint: str
    region: str


class RoleCredentials:
    """Those of one session: an assumed role carries the session's id as its name, for the other side's records."""

    def __init__(self, arn: str, role: Role, service: TokenService, *, session_name: str) -> None:
        self._arn = arn
        self._role = role
        self._service = service
        self._session_name = session_name
        self._credentials: Credentials | None = None
        self._fetching = asyncio.Lock()  # guards _credentials: requests that come together must not assume the role many times

    async def current(self) -> ReadOnlyCredentials:
        """Credentials that are valid now; botocore renews those that expire. Raises NoCredentials."""
        if self._credentials is not None and not _must_be_fetched(self._credentials):
            return self._credentials.get_frozen_credentials()
        async with self._fetching:
            try:
                return await asyncio.to_thread(self._fetched)
            except (BotoCoreError, ClientError, ValueError) as error:
                raise NoCredentials(f"no credentials for {self._arn}: {_told(error)}") from error

    def _fetched(self) -> ReadOnlyCredentials:
        if self._credentials is None:
            self._credentials = self._found()
        return self._credentials.get_frozen_credentials()

    def _found(self) -> Credentials:
        session = botocore.session.Session(profile=self._role.profile or None)
        source: Credentials | None = session.get_credentials() if not self._role.access_key_id else None
        if self._role.access_key_id:
            source = Credentials(self._role.access_key_id, self._role.secret_access_key, self._role.session_token or None)
        if source is None:
            raise ValueError("the server has no credentials of its own to assume it with")
        return self._assumed(session, source) if self._role.assume else source

    def _assumed(self, session: botocore.session.Session, source: Credentials) -> Credentials:
        create_client: Any = partial(session.create_client, endpoint_url=self._service.endpoint or None, region_name=self._service.region)
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=create_client,
            source_credentials=source,
            role_arn=self._arn,
            extra_args={"RoleSessionName": self._session_name, "DurationSeconds": _ASSUMED_SECONDS},
        )
        return DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)


def _must_be_fetched(credentials: Credentials) -> bool:
    """Whether it could take a request to somebody: it is then done in a thread."""
    return isinstance(credentials, DeferredRefreshableCredentials) and credentials.refresh_needed()


def _told(error: Exception) -> str:
    """botocore's own words hold no secret; those of a service might repeat what was sent, so only its code is told."""
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else str(error)
