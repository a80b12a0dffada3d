"""The addresses that no session may reach: those of this machine, of private networks, of metadata services, and the operator's own."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from cellblock.model.network_grants import Network

Address = IPv4Address | IPv6Address

# Everything that IANA's registries of special-purpose addresses say is not reachable from everywhere, and multicast.
ALWAYS_CLOSED = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"),
    *("192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("168.63.129.16/32",),  # Azure's metadata and name service has a public address
    *("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16"),
    *("3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
)
_IPV4_TABLE = Path("/proc/thread-self/net/fib_trie")
_IPV6_TABLE = Path("/proc/thread-self/net/if_inet6")
_LOCAL_ADDRESS = re.compile(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL")


@dataclass(frozen=True, slots=True)
class RangeRule:
    """A range and whether it may be reached."""

    network: Network
    is_open: bool


def range_rules(*, closed: Iterable[str], opened: Iterable[str], own: Iterable[Network] = ()) -> tuple[RangeRule, ...]:
    """Longest range first, since the first that holds an address decides; of two that are alike the open one wins."""
    rules = [RangeRule(ipaddress.ip_network(text), is_open=False) for text in (*ALWAYS_CLOSED, *closed)]
    rules += [RangeRule(network, is_open=False) for network in own]
    rules += [RangeRule(ipaddress.ip_network(text), is_open=True) for text in opened]
    return tuple(sorted(rules, key=lambda rule: (-rule.network.prefixlen, not rule.is_open)))


def is_open(rules: Sequence[RangeRule], address: Address) -> bool:
    """Whether an address may be reached; what no range holds may."""
    plain = (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
    return next((rule.is_open for rule in rules if plain.version == rule.network.version and plain in rule.network), True)


def own_addresses() -> list[Network]:
    """Every address of this machine: to services that listen on all of them a connection from here comes from inside."""
    return [*_own_ipv4(_IPV4_TABLE), *_own_ipv6(_IPV6_TABLE)]


def _own_ipv4(table: Path) -> list[Network]:
    found = _LOCAL_ADDRESS.findall(table.read_text()) if table.exists() else []
    return [ipaddress.ip_network(address) for address in sorted(set(found))]


def _own_ipv6(table: Path) -> list[Network]:
    lines = table.read_text().splitlines() if table.exists() else []
    return [ipaddress.ip_network(bytes.fromhex(line.split()[0])) for line in lines]
