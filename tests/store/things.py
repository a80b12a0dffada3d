"""Interpreters, sessions and claims for the tests of the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cellblock.model.resources import (
    BUILT_IN_INTERPRETER_ID,
    Claim,
    ClaimedOperation,
    ClusterNode,
    Interpreter,
    Session,
    make_claim,
    new_interpreter_id,
    new_session_id,
)

ACCOUNT = "111122223333"
OTHER_ACCOUNT = "444455556666"
START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


class SteppingClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def forward(self, step: timedelta) -> None:
        """Let time pass."""
        self.time += step


def interpreter(name: str = "analysis", *, account: str = ACCOUNT, created_at: datetime = START) -> Interpreter:
    """An interpreter with something in every field."""
    return Interpreter(
        id=new_interpreter_id(name),
        name=name,
        account=account,
        network_mode="VPC",
        network_configuration={"networkMode": "VPC", "vpcConfig": {"securityGroups": ["sg-12345678"], "subnets": ["subnet-12345678"]}},
        description="für Zahlen \N{SNOWMAN}",
        role_arn="arn:aws:iam::111122223333:role/reader",
        certificates=({"location": {"secretsManager": {"secretArn": "arn:x"}}},),
        filesystems=({"efsConfiguration": {"mountPath": "/mnt/data"}},),
        tags={"team": "data"},
        created_at=created_at,
        updated_at=created_at,
    )


def session(
    interpreter_id: str = BUILT_IN_INTERPRETER_ID,
    *,
    account: str = ACCOUNT,
    created_at: datetime = START,
    timeout_seconds: int = 900,
    node: str | None = None,
) -> Session:
    """A session that has just begun."""
    return Session(
        id=new_session_id(),
        interpreter_id=interpreter_id,
        account=account,
        name="look at sales",
        timeout_seconds=timeout_seconds,
        created_at=created_at,
        updated_at=created_at,
        node=node,
    )


def node(name: str = "oak", *, life: int = 1) -> ClusterNode:
    """A node that has just started, for the first time or again."""
    return ClusterNode(id=f"{name.upper()}{life}", name=name, url=f"http://{name}:8081", started_at=START, seen_at=START)


def claim(operation: ClaimedOperation, *, token: str = "t" * 36, account: str = ACCOUNT, asked: str = "this") -> Claim:
    """A client token, and what was asked with it."""
    return make_claim(account=account, operation=operation, token=token, parameters={"asked": asked})
