"""What a key may do: policies in IAM's JSON, read strictly, decided as AWS decides."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

Effect = Literal["Allow", "Deny"]
Verdict = Literal["allowed", "denied", "not allowed"]

VERSION = "2012-10-17"
LONGEST_POLICY = 6144  # characters, IAM's own limit on a managed policy
DECISIONS_KEPT = 4096
_STATEMENT_MEMBERS = {"Sid", "Effect", "Action", "Resource"}
_ACTION = re.compile(r"\*|[A-Za-z0-9*?-]+:[A-Za-z0-9*?]+")
_RESOURCE = re.compile(r"\*|arn:[^\s$]+")


class PolicyError(ValueError):
    """A document that is no policy, or says something that is not understood here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One rule: an effect on actions and resources, both with the wildcards * and ?."""

    effect: Effect
    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in no order: a Deny that matches wins over every Allow, and what no Allow matches is not allowed."""

    statements: tuple[Statement, ...]

    @classmethod
    def parse(cls, text: str) -> Policy:
        """From IAM's JSON. Raises PolicyError; what is not understood is refused, because ignoring it could allow too much."""
        if len(text) > LONGEST_POLICY:
            raise PolicyError(f"the policy has {len(text)} characters and {LONGEST_POLICY} is the most; use wildcards")
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PolicyError(f"the policy is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise PolicyError('the policy must be a JSON object: {"Version": "2012-10-17", "Statement": [...]}')
        return cls(_statements(document))

    def to_json(self) -> str:
        """In IAM's JSON."""
        statements = [
            {"Effect": one.effect, "Action": list(one.actions), "Resource": list(one.resources)}
            for one in self.statements
        ]  # fmt: skip
        return json.dumps({"Version": VERSION, "Statement": statements}, separators=(",", ":"))


EVERYTHING = Policy((Statement("Allow", ("bedrock-agentcore:*",), ("*",)),))


@lru_cache(maxsize=DECISIONS_KEPT)
def decide(policy: Policy, action: str, resource_arn: str) -> Verdict:
    """Whether the policy lets its owner do this there; decisions are kept, because every request asks."""
    verdict: Verdict = "not allowed"
    for statement in policy.statements:
        if _any_matches(statement.actions, action, re.IGNORECASE) and _any_matches(statement.resources, resource_arn, 0):
            if statement.effect == "Deny":
                return "denied"
            verdict = "allowed"
    return verdict


def _statements(document: dict[str, Any]) -> tuple[Statement, ...]:
    if unknown := sorted(set(document) - {"Version", "Id", "Statement"}):
        raise PolicyError(f"the policy's member {unknown[0]} is not known; a policy has Version, Id and Statement")
    if document.get("Version", VERSION) != VERSION:
        raise PolicyError(f'the policy\'s Version must be "{VERSION}"')
    found = document.get("Statement")
    listed = found if isinstance(found, list) else [found]
    if not listed or not all(isinstance(one, dict) for one in listed):
        raise PolicyError("the policy's Statement must be an object or a list of objects")
    return tuple(_statement(one, f"Statement[{index}]") for index, one in enumerate(listed))


def _statement(members: dict[str, Any], place: str) -> Statement:
    if unknown := sorted(set(members) - _STATEMENT_MEMBERS):
        raise PolicyError(f"{place}.{unknown[0]} is not supported; a statement has Effect, Action and Resource, and may have a Sid")
    if members.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(f'{place}.Effect must be "Allow" or "Deny"')
    return Statement(
        cast("Effect", members["Effect"]),
        _patterns(members.get("Action"), _ACTION, f'{place}.Action must be like "bedrock-agentcore:InvokeCodeInterpreter" or "*"'),
        _patterns(members.get("Resource"), _RESOURCE, f'{place}.Resource must be an ARN without policy variables, or "*"'),
    )


def _patterns(value: object, form: re.Pattern[str], problem: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(one, str) and form.fullmatch(one) for one in listed):
        raise PolicyError(problem)
    return tuple(listed)


def _any_matches(patterns: tuple[str, ...], text: str, flags: int) -> bool:
    return any(_compiled(pattern, flags).fullmatch(text) for pattern in patterns)


@lru_cache(maxsize=1024)
def _compiled(pattern: str, flags: int) -> re.Pattern[str]:
    """IAM knows two wildcards: * for any characters and ? for one. Runs of stars are one, lest matching take for ever."""
    parts = (".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in re.sub(r"\*+", "*", pattern))
    return re.compile("".join(parts), flags | re.DOTALL)
