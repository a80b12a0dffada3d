"""Settings: how the server listens, waits and stops."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock.settings.groups.entry import Group, SettingsError, setting

PATH_FORM = r"(/.*)?"
REGION_FORM = r"[a-z]{2}(-[a-z]+)+-[0-9]+"


@dataclass(frozen=True, kw_only=True)
class Serving(Group):
    """Serving"""

    host: str = setting("127.0.0.1", "address to listen on", form=r"[0-9A-Za-z.:_-]+", form_help="an address or a host's name")
    port: int = setting(8080, "port to listen on; 0 takes a free one", minimum=0, maximum=65_535)
    unix_socket: str = setting(
        "", "path of a Unix socket to listen on as well, without TLS, mode 0660", form=PATH_FORM, form_help="an absolute path or nothing"
    )
    tls_certificate: str = setting(
        "",
        "file with the certificate and its chain in PEM; the port then speaks HTTPS, and SIGHUP reads the files again",
        form=PATH_FORM,
        form_help="an absolute path or nothing",
    )
    tls_key: str = setting("", "file with the certificate's key in PEM", form=PATH_FORM, form_help="an absolute path or nothing")
    public_url: str = setting(
        "",
        "URL that `cellblock env` gives to clients, where a proxy stands before the server",
        form=r"(https?://[0-9A-Za-z.:\[\]_-]+)?",
        form_help="http:// or https:// with a host, without a path, or nothing",
        default_help="the address that the server listens on",
    )
    region: str = setting(
        "us-east-1",
        "region that `cellblock env` gives to clients; any signed one is accepted",
        form=REGION_FORM,
        form_help="a region's name",
    )
    pool_size: int = setting(
        2, "cells kept ready for the next sessions at least; 0 switches the pool off", unit="cells", minimum=0, maximum=1000
    )
    max_pool_size: int = setting(
        16,
        "cells kept ready while many sessions come at once; with `CELLBLOCK_POOL_SIZE` or fewer the pool keeps its size",
        unit="cells",
        minimum=0,
        maximum=1000,
    )
    rest_seconds: float = setting(
        10.0,
        "how long nothing happens in a session before it gives back the memory that it has in common with others; 0: never",
        unit="s",
        minimum=0,
        maximum=86_400,
    )
    max_large_bodies: int = setting(
        4, "request bodies over 1 MB that are in memory at once; others wait", unit="bodies", minimum=1, maximum=1000
    )
    drain_seconds: int = setting(10, "how long calls may still run when the server is told to stop", unit="s", minimum=0, maximum=3600)
    session_retention_days: int = setting(30, "how long an ended session can still be asked about", unit="days", minimum=1, maximum=3650)

    def check(self) -> None:
        """A certificate has a key."""
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise SettingsError("CELLBLOCK_TLS_CERTIFICATE and CELLBLOCK_TLS_KEY: allowed are both or none")
