"""The policy against a file that people review: whoever widens it has to change that file too."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path

import pytest

import cellblock_cell
from cellblock.sandbox.policy import STEPS, Policy, default_policy

GOLDEN = Path(__file__).parent / "policy.golden.json"
CONFINE = Path(cellblock_cell.__file__).parent / "confine.py"  # needs the cells' libraries to be imported
OF_THIS_HOST = ("binds", "links")


@pytest.fixture
def policy() -> Policy:
    return default_policy(runtime=Path("/runtime"), code=Path("/code"), base_prefix="/usr")


def test_the_policy_is_the_reviewed_one(policy: Policy) -> None:
    found = json.loads(policy.describe())
    for name in OF_THIS_HOST:
        del found[name]
    assert found == json.loads(GOLDEN.read_text())


def test_of_the_host_are_bound_its_programs_its_libraries_and_named_parts_of_etc_only(policy: Policy) -> None:
    inside = {target for _, target in policy.binds}
    allowed = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt/cellblock/shared", "/opt/cellblock/cell"}
    assert {path for path in inside - allowed if not path.startswith("/etc/")} == set()
    assert not inside & {"/etc", "/etc/shadow", "/etc/passwd", "/etc/ssl", "/etc/ssl/private", "/etc/ssh"}


def test_every_step_is_one_of_the_confinements_and_none_is_left_out(policy: Policy) -> None:
    source = ast.parse(CONFINE.read_text())
    confinement = next(node for node in source.body if isinstance(node, ast.ClassDef) and node.name == "Confinement")
    methods = [node.name for node in confinement.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    assert list(policy.steps) == methods == list(STEPS)


def test_the_filter_comes_last_and_rights_go_before_it(policy: Policy) -> None:
    assert policy.steps[-3:] == ("give_up_rights", "fence_files", "filter_system_calls")


def test_a_policy_can_be_printed_whole(policy: Policy) -> None:
    assert set(json.loads(policy.describe())) == {field.name for field in dataclasses.fields(Policy)}
