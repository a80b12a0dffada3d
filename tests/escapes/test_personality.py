"""A personality without address randomisation, or with executable data, makes holes in set-user-id programs usable."""

from __future__ import annotations

import pytest

from cells import BenchCell

SET = "print(word(libc.personality(ctypes.c_ulong({:#x}))))"
NO_RANDOMISATION, READ_IMPLIES_EXEC, PAGE_ZERO = 0x0040000, 0x0400000, 0x0100000


@pytest.mark.parametrize("persona", [NO_RANDOMISATION, READ_IMPLIES_EXEC, PAGE_ZERO])
def test_dangerous_personalities_are_refused(cell: BenchCell, unfiltered: BenchCell, persona: int) -> None:
    assert unfiltered.probe(SET.format(persona)) == "done"
    assert cell.probe(SET.format(persona)) == "EPERM"


def test_a_personality_can_be_asked_for(cell: BenchCell) -> None:
    assert cell.probe(SET.format(0xFFFFFFFF)) == "done"
