"""Limits of an interpreter's sessions: the service's defaults, changed by the interpreter's tags within the operator's maxima."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cellblock.errors import FieldProblem, ValidationFailed
from cellblock.model.calls import CellLimits
from cellblock.settings.table import MIB, Settings

PREFIX = "cellblock:"
_NUMBER = r"[0-9]{1,9}(\.[0-9]{1,3})?"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quota:
    """One tag: the limit it sets, the values it may have, and the setting that says how much is the most."""

    limit: str
    unit: str
    factor: int = 1
    is_whole: bool = True
    least: float
    most: float
    setting: str


def limits_of(tags: Mapping[str, str], settings: Settings) -> CellLimits:
    """What a session of an interpreter with these tags may use. Raises ValidationFailed, which names every bad tag."""
    quotas = _quotas(settings)
    values: dict[str, float] = {}
    problems: list[FieldProblem] = []
    for tag, value in tags.items():
        if tag.startswith(PREFIX):
            quota = quotas.get(tag)
            problem = _problem(value, quota) if quota else f"is no limit; the limits are {', '.join(quotas)}"
            if quota is None or problem:
                problems.append(FieldProblem(f"tags.{tag}", problem))
            else:
                values[quota.limit] = float(value) * quota.factor
    if problems:
        raise ValidationFailed("; ".join(f"{problem.name} {problem.message}" for problem in problems), fields=tuple(problems))
    return _changed(cell_limits(settings), values)


def kept_limits(tags: Mapping[str, str], settings: Settings) -> CellLimits:
    """The same for tags that were accepted once: a maximum that the operator has lowered since then is what they give."""
    quotas = _quotas(settings)
    asked = {quotas[tag].limit: min(float(value), quotas[tag].most) * quotas[tag].factor for tag, value in tags.items() if tag in quotas}
    return _changed(cell_limits(settings), asked)


def cell_limits(settings: Settings) -> CellLimits:
    """What a session may use whose interpreter says nothing."""
    return CellLimits(
        memory_bytes=settings.memory_bytes,
        process_count=settings.processes,
        cpus=settings.cpus,
        workspace_bytes=settings.workspace_bytes,
        tmp_bytes=settings.tmp_bytes,
    )


def _quotas(settings: Settings) -> dict[str, _Quota]:
    """The tags. Never less than the default may be asked for at most, whatever the maximum says."""
    memory = _Quota(
        limit="memory_bytes",
        unit="MB",
        factor=MIB,
        least=64,
        most=max(settings.max_memory_mb, settings.memory_mb),
        setting="CELLBLOCK_MAX_MEMORY_MB",
    )
    cpus = _Quota(
        limit="cpus", unit="CPUs", is_whole=False, least=0.1, most=max(settings.max_cpus, settings.cpus), setting="CELLBLOCK_MAX_CPUS"
    )
    pids = _Quota(
        limit="process_count",
        unit="processes",
        least=16,
        most=max(settings.max_pids, settings.processes),
        setting="CELLBLOCK_MAX_PIDS",
    )
    disk = _Quota(
        limit="workspace_bytes",
        unit="MB",
        factor=MIB,
        least=1,
        most=max(settings.max_disk_mb, settings.workspace_mb),
        setting="CELLBLOCK_MAX_DISK_MB",
    )
    return {f"{PREFIX}memory-mb": memory, f"{PREFIX}cpus": cpus, f"{PREFIX}pids": pids, f"{PREFIX}disk-mb": disk}


def _problem(value: str, quota: _Quota) -> str:
    """What is wrong with a tag's value and what to do; the empty string when nothing is."""
    kind = "a whole number" if quota.is_whole else "a number"
    if not re.fullmatch(_NUMBER, value) or (quota.is_whole and not value.isdecimal()):
        return f"is not {kind}; give {kind} of {quota.unit} from {quota.least:g} to {quota.most:g}"
    if float(value) < quota.least:
        return f"is {value} and {quota.least:g} {quota.unit} is the least; ask for more"
    if float(value) > quota.most:
        return f"is {value} and {quota.most:g} {quota.unit} is the most; ask for less or let the operator raise {quota.setting}"
    return ""


def _changed(limits: CellLimits, values: Mapping[str, float]) -> CellLimits:
    return dataclasses.replace(
        limits,
        memory_bytes=int(values.get("memory_bytes", limits.memory_bytes)),
        process_count=int(values.get("process_count", limits.process_count)),
        cpus=values.get("cpus", limits.cpus),
        workspace_bytes=int(values.get("workspace_bytes", limits.workspace_bytes)),
    )
