"""What an interpreter and a session may be given: checked against what the operator has, when one is made and when one starts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from cellblock.errors import AccessDenied, FieldProblem, ValidationFailed
from cellblock.grants import allow_lists, certificates, file_systems, grants_file
from cellblock.grants.certificates import NoCertificate
from cellblock.model.calls import Grants
from cellblock.model.network_grants import NetworkGrant
from cellblock.model.resources import Interpreter, JsonObject, Session
from cellblock.settings.table import Settings


class Grantor:
    """Knows the operator's file of grants, as it was when the server started, and the directory of secrets."""

    def __init__(self, settings: Settings) -> None:
        self._granted = grants_file.read(settings.grants_file)
        self._secrets_dir = settings.secrets_dir

    async def check(self, interpreter: Interpreter) -> None:
        """Raises ValidationFailed, which names every bad field, and AccessDenied for another account's role."""
        self._role_of(interpreter.role_arn, interpreter.account)
        self.network(interpreter)
        await self._grants(interpreter.account, interpreter.certificates, interpreter.filesystems)

    async def for_session(self, session: Session, interpreter: Interpreter | None) -> Grants:
        """What the session is given by its interpreter, None for the built-in one, and by its own start. Raises as `check` does."""
        found = (interpreter.certificates, interpreter.filesystems) if interpreter else ((), ())
        given = await self._grants(session.account, (*found[0], *session.certificates), (*found[1], *session.filesystems))
        role = self._role_of(interpreter.role_arn, session.account) if interpreter else ""
        return Grants(session_id=session.id, role_arn=role, certificates=given.certificates, mounts=given.mounts)

    def network(self, interpreter: Interpreter) -> NetworkGrant:
        """What its sessions may reach. Raises ValidationFailed, which names every subnet and security group that is not known."""
        problems: list[FieldProblem] = []
        found = allow_lists.network_of(interpreter, self._granted.networks, problems)
        _refuse(problems)
        return found

    def _role_of(self, arn: str | None, account: str) -> str:
        """A role that the operator has not mapped is accepted, as clients name roles of AWS, and gives nothing."""
        role = self._granted.roles.get(arn or "")
        if arn is None or role is None:
            return ""
        if not grants_file.may_use(arn, role.accounts, account):
            raise AccessDenied(f"the role {arn} is not for account {account}")
        return arn

    async def _grants(self, account: str, secrets: Iterable[JsonObject], configurations: Iterable[JsonObject]) -> Grants:
        problems: list[FieldProblem] = []
        mounts = file_systems.mounts_of(configurations, self._granted.file_systems, account, problems)
        arns = [_secret_arn(item) for item in secrets]
        bundle = await asyncio.to_thread(self._bundle, arns, problems) if arns else ""
        _refuse(problems)
        return Grants(certificates=bundle, mounts=mounts)

    def _bundle(self, arns: list[str], problems: list[FieldProblem]) -> str:
        found: list[str] = []
        for index, arn in enumerate(arns):
            try:
                found.append(certificates.find(self._secrets_dir, arn))
            except NoCertificate as error:
                where = f"certificates[{index}].location.secretsManager.secretArn"
                problems.append(FieldProblem(where, f"{arn} {error}"))
        return certificates.bundle(found)


def _refuse(problems: Sequence[FieldProblem]) -> None:
    if problems:
        raise ValidationFailed("; ".join(f"{problem.name} {problem.message}" for problem in problems), fields=tuple(problems))


def _secret_arn(certificate: JsonObject) -> str:
    location = cast("Mapping[str, Any]", certificate["location"])
    return str(location["secretsManager"]["secretArn"])
