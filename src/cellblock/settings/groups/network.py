"""Settings: what sessions may reach of the network, and how."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

from cellblock.settings.groups.entry import Group, SettingsError, setting, variable

_RANGES = r"([0-9A-Fa-f:.]+/[0-9]{1,3}(,[0-9A-Fa-f:.]+/[0-9]{1,3})*)?"
_RANGES_HELP = "ranges such as `10.1.0.0/16` or `fd00::/8`, separated by commas"


@dataclass(frozen=True, kw_only=True)
class Network(Group):
    """Network"""

    user_network: Literal["auto", "pasta", "slirp4netns", "proxy", "none"] = setting(
        "auto", "what gives sessions of mode PUBLIC the internet: `auto` takes slirp4netns where it can run, else the proxy"
    )
    network_closed_ranges: tuple[str, ...] = setting(
        (), "addresses that no session reaches, beside those that are always closed", form=_RANGES, form_help=_RANGES_HELP
    )
    network_open_ranges: tuple[str, ...] = setting(
        (), "exceptions from the closed ones; the longest range that holds an address decides", form=_RANGES, form_help=_RANGES_HELP
    )
    installer_dir: str = setting(
        "",
        "directory whose `pip.conf`, `uv.toml` and `npmrc` sessions with a network read in `/etc`",
        default_help="none",
        form=r"(/.*)?",
        form_help="an absolute path or nothing",
    )

    def check(self) -> None:
        """Every range is one."""
        for name in ("network_closed_ranges", "network_open_ranges"):
            for text in getattr(self, name):
                try:
                    ipaddress.ip_network(text)
                except ValueError as error:
                    raise SettingsError(f"{variable(name)}={text}: allowed are {_RANGES_HELP}; {error}") from error
