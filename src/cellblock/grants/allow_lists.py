"""Networks of mode VPC: the subnets and security groups of an interpreter, as the allow-lists that the operator has under these names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from cellblock.errors import FieldProblem
from cellblock.grants.grants_file import AllowList, may_use
from cellblock.model.network_grants import INTERNET, NO_NETWORK, AllowedDomain, AllowedNetwork, NetworkGrant, allowed_place
from cellblock.model.resources import Interpreter

_MEMBER = "networkConfiguration.vpcConfig"


def network_of(interpreter: Interpreter, lists: Mapping[str, AllowList], problems: list[FieldProblem]) -> NetworkGrant:
    """What its sessions may reach: of VPC all lists together; names without a list go to the problems, by their place."""
    if interpreter.network_mode != "VPC":
        return INTERNET if interpreter.network_mode == "PUBLIC" else NO_NETWORK
    places: list[AllowedDomain | AllowedNetwork] = []
    for where, name in _named(interpreter):
        found = lists.get(name)
        if found is None or not may_use(name, found.accounts, interpreter.account):
            problems.append(FieldProblem(where, f"{name} is not known: no network of this server has this name"))
        else:
            places += [allowed_place(text) for text in found.allow]
    return NetworkGrant(
        mode="VPC",
        domains=tuple(place for place in places if isinstance(place, AllowedDomain)),
        networks=tuple(place for place in places if isinstance(place, AllowedNetwork)),
    )


def _named(interpreter: Interpreter) -> Iterator[tuple[str, str]]:
    found = cast("Mapping[str, list[str]]", interpreter.network_configuration.get("vpcConfig", {}))
    for member in ("subnets", "securityGroups"):
        for index, name in enumerate(found.get(member, [])):
            yield f"{_MEMBER}.{member}[{index}]", name
