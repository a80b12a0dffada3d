"""Certificates that sessions trust beside the usual ones, found by the ARN of the secret that the operator keeps as a file."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import botocore

MOST_BYTES = 1 << 20  # of one file
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s+[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_USUAL = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class NoCertificate(Exception):
    """An ARN under which there is no certificate, and why."""


def find(secrets_dir: str, arn: str) -> str:
    """The certificates of a secret in PEM, and nothing else that its file holds. Raises NoCertificate."""
    if not secrets_dir:
        raise NoCertificate("is not known: this server has no secrets (setting CELLBLOCK_SECRETS_DIR)")
    path = Path(secrets_dir) / file_name(arn)
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1).decode("ascii", "replace")
    except FileNotFoundError:
        raise NoCertificate("is not known: no secret of this server has this ARN") from None
    except OSError as error:
        raise NoCertificate(f"cannot be read: {error.strerror}") from error
    found = _CERTIFICATE.findall(text)
    if not found or len(text) > MOST_BYTES or not _is_readable(found):
        raise NoCertificate(f"holds no certificates in PEM of at most {MOST_BYTES} bytes")
    return "\n".join(found) + "\n"


def file_name(arn: str) -> str:
    """One plain name for each ARN: a slash in it is written %2F, so that no ARN leads out of the directory."""
    return f"{quote(arn, safe=':@=+,')}.pem"


def bundle(certificates: Iterable[str]) -> str:
    """The certificates after those that this machine trusts: most programs take one file in place of the usual one."""
    return "\n".join((_usual(), *dict.fromkeys(certificates)))


def _is_readable(certificates: list[str]) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata="\n".join(certificates))
    except (ssl.SSLError, ValueError):
        return False
    return True


def _usual() -> str:
    places = [Path(place) for place in _USUAL]
    found = next((place for place in places if place.is_file()), Path(botocore.__file__).parent / "cacert.pem")
    return "\n".join(_CERTIFICATE.findall(found.read_text("ascii", "replace")))
