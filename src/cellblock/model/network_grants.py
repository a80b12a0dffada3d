"""What a session may reach: nothing, the internet, or the places of named allow-lists."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from cellblock.model.resources import NetworkMode

Network = IPv4Network | IPv6Network
PortSpan = tuple[int, int]

_ENTRY = re.compile(r"(?P<place>\[[0-9A-Fa-f:./]+\]|[^:\s\[\]]+)(:(?P<first>[0-9]{1,5})(-(?P<last>[0-9]{1,5}))?)?")
_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedDomain:
    """A name, or with `*.` before it every name below it; no ports are all ports."""

    name: str
    ports: tuple[PortSpan, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedNetwork:
    """A range of addresses; no ports are all ports."""

    network: Network
    ports: tuple[PortSpan, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkGrant:
    """The mode of an interpreter; the lists belong to VPC."""

    mode: NetworkMode = "SANDBOX"
    domains: tuple[AllowedDomain, ...] = ()
    networks: tuple[AllowedNetwork, ...] = ()


def allowed_place(text: str) -> AllowedDomain | AllowedNetwork:
    """An entry of an allow-list: a name, `*.` before it or not, or a range, with a port or a span of ports behind. Raises ValueError."""
    found = _ENTRY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no entry; allowed are example.com, *.example.com:443, 10.1.0.0/16:8000-8100 and [fd00::/8]:443")
    ports = _ports(found["first"], found["last"])
    if re.search(r"[/\[]", text) or re.fullmatch(r"[0-9.]+", found["place"]):
        return AllowedNetwork(network=ipaddress.ip_network(found["place"].strip("[]")), ports=ports)
    if not _NAME.fullmatch(found["place"].lower()):
        raise ValueError(f"{text!r} holds no name")
    return AllowedDomain(name=found["place"].lower(), ports=ports)


def _ports(first: str | None, last: str | None) -> tuple[PortSpan, ...]:
    if first is None:
        return ()
    span = (int(first), int(last or first))
    if not 0 < span[0] <= span[1] < 65536:
        raise ValueError(f"{first}-{last or first} are no ports")
    return (span,)


NO_NETWORK = NetworkGrant()
INTERNET = NetworkGrant(mode="PUBLIC")
