"""What an operator writes for a server: the file of grants, and certificates in the directory of secrets."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cellblock.grants.certificates import file_name

_OWNER = 12_345  # of directories that cells may write to, when root runs the tests
_DAY = datetime.timedelta(days=1)


def grants_file(directory: Path, text: str) -> Path:
    """A file of grants that its owner only may use."""
    path = directory / "grants.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def secrets_dir(directory: Path, **certificates: str) -> Path:
    """A directory with a certificate for each ARN."""
    directory.mkdir(exist_ok=True)
    for arn, pem in certificates.items():
        (directory / file_name(arn)).write_text(pem)
    return directory


def shared_directory(path: Path) -> Path:
    """A directory that does not belong to root, with one file."""
    path.mkdir()
    (path / "kept.txt").write_text("kept on the host\n")
    if os.geteuid() == 0:
        for one in (path, path / "kept.txt"):
            os.chown(one, _OWNER, _OWNER)
    return path


@dataclass(frozen=True)
class Authority:
    """A certificate authority's certificate, and a server's key and certificate by it, all in PEM."""

    certificate: str
    server_key: str
    server_certificate: str


def make_authority(name: str, host: str = "localhost") -> Authority:
    """A fresh one; the server has this name, and is on loopback."""
    key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    authority = _builder(issuer, issuer, key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    names = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ip_address("127.0.0.1"))])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    server = _builder(subject, issuer, server_key.public_key()).add_extension(names, critical=False)
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Authority(
        certificate=authority.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(),
        server_key=server_key.private_bytes(*plain).decode(),
        server_certificate=server.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(),
    )


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    named = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    return named.serial_number(x509.random_serial_number()).not_valid_before(now - _DAY).not_valid_after(now + _DAY)
