"""What a session may reach: nothing, the internet, or the places of named allow-lists."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from cellblock.model import NetworkMode

Network = IPv4Network | IPv6Network
PortSpan = tuple[int, int]


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


NO_NETWORK = NetworkGrant()
INTERNET = NetworkGrant(mode="PUBLIC")
