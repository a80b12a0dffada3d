"""Bearer tokens of access keys: what a client sends that cannot sign its requests."""

from __future__ import annotations

import base64
import hashlib
import hmac

_PURPOSE = b"cellblock bearer token 1"  # a token must not be of use as a signature of anything else


def bearer_token(key_id: str, secret: str) -> str:
    """The key's token; the secret cannot be found from it."""
    digest = hmac.new(secret.encode(), _PURPOSE, hashlib.sha256).digest()
    return f"{key_id}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def key_id_of(token: str) -> str:
    """The key that a token says it belongs to."""
    return token.partition(".")[0]


def is_token_of(token: str, key_id: str, secret: str) -> bool:
    """Whether the token was made with the key's secret."""
    return hmac.compare_digest(token.encode("utf-8", "replace"), bearer_token(key_id, secret).encode())
