"""Closes addresses to everything in this network namespace: nf_tables rules on what leaves, written over netlink without a program.

A route that is missing or unreachable closes nothing to a socket that is bound to an interface: the kernel then takes every
address for a neighbour's (ip_route_output_key_hash_rcu). The output hook sees each packet, however it was sent.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# linux/netfilter/nfnetlink.h, nf_tables.h
_NETLINK_NETFILTER, _SUBSYSTEM = 12, 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE = (_SUBSYSTEM << 8 | number for number in (0, 3, 6))
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
_IPV4, _IPV6 = 2, 10
_LOCAL_OUT, _ACCEPT_POLICY = 3, 1
_VERDICT_REGISTER, _REGISTER = 0, 1
_ACCEPT = 1
_UNREACHABLE, _RESET = 0, 1  # kinds of the expression "reject"
_META_INTERFACE, _META_PROTOCOL = 5, 16
_EQUAL = 0
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_NESTED = 0x8000
_TABLE = _CHAIN = b"cellblock\0"
_LOOPBACK_INDEX = 1  # of every network namespace
_DESTINATION = {4: (16, 4), 6: (24, 16)}  # offset and length in the header
_PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
_ANSWER_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketRule:
    """What becomes of packets to a network; the first rule that fits decides, and where none does they leave."""

    network: str
    is_open: bool
    protocol: str = ""
    ports: tuple[int, int] = (0, 65535)

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> PacketRule:
        """As JSON has it, with a list for the pair."""
        return cls(**message | {"ports": tuple(message["ports"])})


def install(rules: Sequence[PacketRule]) -> None:
    """Put the rules in force, all or none. Loopback stays open. Raises OSError."""
    messages = [_message(_BATCH_BEGIN, _REQUEST, struct.pack(">BBH", 0, 0, _SUBSYSTEM))]
    for family, version in ((_IPV4, 4), (_IPV6, 6)):
        messages += _table(family)
        messages.append(_rule(family, [*_loopback(), _verdict()]))
        for rule in rules:
            network = ipaddress.ip_network(rule.network)
            if network.version == version:
                messages += (_rule(family, expressions) for expressions in _expressions(rule, network))
    messages.append(_message(_BATCH_END, _REQUEST, struct.pack(">BBH", 0, 0, _SUBSYSTEM)))
    _send(messages)


def _send(messages: list[bytes]) -> None:
    """Each message but the outer two is acknowledged; the first error undoes the batch."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as channel:
        channel.settimeout(10)
        channel.bind((0, 0))
        channel.sendto(b"".join(messages), (0, 0))
        awaited = len(messages) - 2
        while awaited:
            awaited -= _read_answers(channel.recv(_ANSWER_BYTES))


def _read_answers(data: bytes) -> int:
    count = 0
    while len(data) >= 20:
        length, _kind, _flags, _sequence, _port, error = struct.unpack_from("=IHHIIi", data)
        if error:
            raise OSError(-error, os.strerror(-error), "nf_tables")
        count += 1
        data = data[(length + 3) & ~3 :]
    return count


def _table(family: int) -> Iterable[bytes]:
    flags = _REQUEST | _CREATE | _ACK
    hook = _number(1, _LOCAL_OUT) + _number(2, 0)
    chain = [_attribute(1, _TABLE), _attribute(3, _CHAIN), _attribute(4 | _NESTED, hook), _number(5, _ACCEPT_POLICY)]
    yield _message(_NEW_TABLE, flags, _generic(family) + _attribute(1, _TABLE))
    yield _message(_NEW_CHAIN, flags, _generic(family) + b"".join(chain) + _attribute(7, b"filter\0"))


def _rule(family: int, expressions: Iterable[bytes]) -> bytes:
    content = [_attribute(1, _TABLE), _attribute(2, _CHAIN), _attribute(4 | _NESTED, b"".join(expressions))]
    return _message(_NEW_RULE, _REQUEST | _CREATE | _APPEND | _ACK, _generic(family) + b"".join(content))


def _expressions(rule: PacketRule, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Iterable[list[bytes]]:
    """A refusal is told: TCP by a reset, which connect(2) hears at once, everything else as unreachable."""
    match = [*_to(network), *_over(rule)]
    if rule.is_open:
        yield [*match, _verdict()]
        return
    yield [*match, *_protocol(socket.IPPROTO_TCP), _expression(b"reject", _number(1, _RESET) + _attribute(2, b"\0"))]
    yield [*match, _expression(b"reject", _number(1, _UNREACHABLE) + _attribute(2, b"\0"))]


def _loopback() -> list[bytes]:
    return [_meta(_META_INTERFACE), _compare(struct.pack("=I", _LOOPBACK_INDEX))]


def _protocol(number: int) -> list[bytes]:
    return [_meta(_META_PROTOCOL), _compare(bytes([number]))]


def _to(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> list[bytes]:
    offset, length = _DESTINATION[network.version]
    mask, zeros = _attribute(1, network.netmask.packed), _attribute(1, bytes(length))
    bits = [_number(1, _REGISTER), _number(2, _REGISTER), _number(3, length), _attribute(4 | _NESTED, mask), _attribute(5 | _NESTED, zeros)]
    return [_payload(_NETWORK_HEADER, offset, length), _expression(b"bitwise", b"".join(bits)), _compare(network.network_address.packed)]


def _over(rule: PacketRule) -> list[bytes]:
    if not rule.protocol:
        return []
    first, last = (_attribute(1, struct.pack(">H", port)) for port in rule.ports)
    ends = _attribute(3 | _NESTED, first) + _attribute(4 | _NESTED, last)
    span = _expression(b"range", _number(1, _REGISTER) + _number(2, _EQUAL) + ends)
    return [*_protocol(_PROTOCOLS[rule.protocol]), _payload(_TRANSPORT_HEADER, 2, 2), span]


def _verdict() -> bytes:
    code = _attribute(2 | _NESTED, _number(1, _ACCEPT))
    return _expression(b"immediate", _number(1, _VERDICT_REGISTER) + _attribute(2 | _NESTED, code))


def _meta(key: int) -> bytes:
    return _expression(b"meta", _number(1, _REGISTER) + _number(2, key))


def _payload(base: int, offset: int, length: int) -> bytes:
    return _expression(b"payload", _number(1, _REGISTER) + _number(2, base) + _number(3, offset) + _number(4, length))


def _compare(value: bytes) -> bytes:
    return _expression(b"cmp", _number(1, _REGISTER) + _number(2, _EQUAL) + _attribute(3 | _NESTED, _attribute(1, value)))


def _expression(name: bytes, data: bytes) -> bytes:
    return _attribute(1 | _NESTED, _attribute(1, name + b"\0") + _attribute(2 | _NESTED, data))


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack(">I", value))


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _generic(family: int) -> bytes:
    return struct.pack(">BBH", family, 0, 0)


def _message(kind: int, flags: int, data: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(data), kind, flags, 0, 0) + data
