"""The credentials that a session gets: its own, valid only here and only for a time. The role's never enter a cell."""

from __future__ import annotations

import hmac
import json
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from botocore.credentials import ReadOnlyCredentials

from cellblock.grants.broker.refusals import Refused

_LETTERS = string.ascii_letters + string.digits
_KEY_ID_LETTERS = string.ascii_uppercase + "234567"


@dataclass(frozen=True, slots=True)
class _Issued:
    credentials: ReadOnlyCredentials
    expires_at: datetime


class SessionCredentials:
    """Issues credentials to who shows the session's token, and finds those that are still valid."""

    def __init__(self, *, token: str, role_arn: str, lifetime: timedelta, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._token = token
        self._role_arn = role_arn
        self._lifetime = lifetime
        self._now = now
        self._issued: list[_Issued] = []

    def document(self, authorization: str) -> bytes:
        """What the container-credentials protocol answers with, valid for half the lifetime at least. Raises Refused."""
        if not hmac.compare_digest(authorization.encode(), self._token.encode()):
            raise Refused(403, "AccessDenied", "the Authorization header is not the session's token")
        time = self._now()
        self._issued = [one for one in self._issued if one.expires_at > time]
        if not self._issued or self._issued[-1].expires_at - time < self._lifetime / 2:
            self._issued.append(_Issued(_fresh(), time + self._lifetime))
        newest = self._issued[-1]
        return json.dumps(
            {
                "AccessKeyId": newest.credentials.access_key,
                "SecretAccessKey": newest.credentials.secret_key,
                "Token": newest.credentials.token,
                "Expiration": newest.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "RoleArn": self._role_arn,
            }
        ).encode()

    def find(self, key_id: str) -> ReadOnlyCredentials:
        """The credentials of this key. Raises Refused when there are none that are valid."""
        for one in self._issued:
            if one.credentials.access_key == key_id:
                if one.expires_at > self._now():
                    return one.credentials
                raise Refused(400, "ExpiredToken", "the session's credentials have expired; SDKs fetch others by themselves")
        raise Refused(403, "InvalidAccessKeyId", "the request is not signed with the credentials of this session's role")


def _fresh() -> ReadOnlyCredentials:
    return ReadOnlyCredentials(f"ASIA{_random(_KEY_ID_LETTERS, 16)}", _random(_LETTERS, 40), _random(_LETTERS, 64), None)


def _random(letters: str, count: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(count))
