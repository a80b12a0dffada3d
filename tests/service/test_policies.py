"""Policies: what is read, what is refused, and how AWS decides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cellblock.errors import AccessDenied
from cellblock.model.policies import EVERYTHING, LONGEST_POLICY, Policy, PolicyError, decide
from cellblock.model.resources import AccessKey, new_access_key
from cellblock.service.access import require

BUILT_IN = "arn:aws:bedrock-agentcore:us-east-1:aws:code-interpreter/aws.codeinterpreter.v1"
CUSTOM = "arn:aws:bedrock-agentcore:us-east-1:123456789012:code-interpreter-custom/sales-0123456789"
INVOKE = "bedrock-agentcore:InvokeCodeInterpreter"


def statement(effect: str, action: object = "bedrock-agentcore:*", resource: object = "*") -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource}


def policy(*statements: dict[str, Any]) -> Policy:
    return Policy.parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def test_deny_wins_over_allow_in_either_order() -> None:
    rules = [statement("Allow"), statement("Deny", INVOKE, BUILT_IN)]
    for one in (policy(*rules), policy(*reversed(rules))):
        assert decide(one, INVOKE, BUILT_IN) == "denied"
        assert decide(one, INVOKE, CUSTOM) == "allowed"


def test_what_no_statement_allows_is_not_allowed() -> None:
    assert decide(policy(statement("Deny", "s3:*")), INVOKE, BUILT_IN) == "not allowed"
    assert decide(policy(statement("Allow", INVOKE, "arn:*:code-interpreter-custom/sales-*")), INVOKE, BUILT_IN) == "not allowed"


def test_single_statement_and_single_strings_are_read() -> None:
    text = '{"Statement": {"Sid": "one", "Effect": "Allow", "Action": "*", "Resource": ["arn:aws:*"]}}'
    assert decide(Policy.parse(text), INVOKE, CUSTOM) == "allowed"


def test_policy_is_written_as_it_is_read() -> None:
    both = policy(statement("Allow", [INVOKE, "s3:*"]), statement("Deny", "*", [BUILT_IN]))
    assert Policy.parse(both.to_json()) == both


def test_many_stars_are_decided_at_once() -> None:
    stars = policy(statement("Allow", "bedrock-agentcore:" + "*" * 200 + "x", "*"))
    assert decide(stars, "bedrock-agentcore:" + "a" * 200, BUILT_IN) == "not allowed"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ("[" * 10_000, "characters|not JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "Statement must be"),
        ('{"Version": "2008-10-17", "Statement": []}', "Version"),
        ('{"Statement": []}', "Statement must be"),
        ('{"Statements": []}', "member Statements is not known"),
        (json.dumps({"Statement": [statement("allow")]}), r"Statement\[0\].Effect"),
        (json.dumps({"Statement": [statement("Allow", "Invoke")]}), r"Statement\[0\].Action"),
        (json.dumps({"Statement": [statement("Allow", [])]}), r"Statement\[0\].Action"),
        (json.dumps({"Statement": [statement("Allow", "*", "everything")]}), r"Statement\[0\].Resource"),
        (json.dumps({"Statement": [statement("Allow", "*", "arn:aws:${aws:username}")]}), r"without policy variables"),
        (json.dumps({"Statement": [statement("Allow") | {"Condition": {}}]}), r"Statement\[0\].Condition is not supported"),
        (json.dumps({"Statement": [{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}]}), "NotAction is not supported"),
        (json.dumps({"Statement": [statement("Allow", "a:" + "x" * LONGEST_POLICY)]}), "is the most"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, problem: str) -> None:
    with pytest.raises(PolicyError, match=problem):
        Policy.parse(text)


def key(held: Policy) -> AccessKey:
    return new_access_key(account="123456789012", name="ann", policy=held)


def test_refusal_is_in_the_words_of_aws() -> None:
    with pytest.raises(AccessDenied) as caught:
        require(key(policy(statement("Allow", "s3:*"))), operation="InvokeCodeInterpreter", resource_arn=CUSTOM)
    assert caught.value.message == (
        f"User: arn:aws:iam::123456789012:user/ann is not authorized to perform: {INVOKE} on resource: {CUSTOM}"
        f" because no identity-based policy allows the {INVOKE} action"
    )


def test_refusal_by_a_deny_says_so() -> None:
    with pytest.raises(AccessDenied, match=r"with an explicit deny in an identity-based policy$"):
        require(key(policy(statement("Allow"), statement("Deny"))), operation="InvokeCodeInterpreter", resource_arn=CUSTOM)


def test_key_without_a_policy_of_its_own_may_do_everything() -> None:
    require(key(EVERYTHING), operation="DeleteCodeInterpreter", resource_arn=CUSTOM)
