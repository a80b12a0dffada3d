"""Keyrings of a user are not kept apart by namespaces: keys of the host's services could be listed, read or used up."""

from __future__ import annotations

import pytest

from cells import BenchCell, number_of

ADD = "print(call({number}, b'user', b'cellblock-probe', b'secret', 6, -3))"  # KEY_SPEC_SESSION_KEYRING
FIND = "print(call({number}, 0, -3, 0))"  # KEYCTL_GET_KEYRING_ID
ASK = "print(call({number}, b'user', b'cellblock-never-added', 0, 0))"


@pytest.mark.parametrize(("name", "probe", "without"), [("add_key", ADD, "done"), ("keyctl", FIND, "done"), ("request_key", ASK, "ENOKEY")])
def test_keys_cannot_be_reached(cell: BenchCell, unfiltered: BenchCell, name: str, probe: str, without: str) -> None:
    code = probe.format(number=number_of(name))
    answer = unfiltered.probe(code)
    if answer == "ENOSYS":
        pytest.skip("needs a kernel with keyrings (CONFIG_KEYS)")
    assert answer == without
    assert cell.probe(code) == "EPERM"
