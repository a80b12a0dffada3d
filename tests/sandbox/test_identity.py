"""Host ids of cells: who gets which, and when one is used again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellblock.errors import HostNotReady
from cellblock.sandbox.id_blocks import BLOCK_IDS, Blocks
from cellblock.sandbox.identity import IdentityRange

BASE, COUNT = 700_000_000, 16


@pytest.fixture
def identities(tmp_path: Path) -> Iterator[IdentityRange]:
    made = IdentityRange(base=BASE, count=COUNT, blocks=Blocks(tmp_path))
    yield made
    made.close()


@pytest.mark.root
def test_two_servers_with_one_range_never_give_the_same_id(tmp_path: Path) -> None:
    count = 3 * BLOCK_IDS
    first, second = (IdentityRange(base=BASE, count=count, blocks=Blocks(tmp_path)) for _ in range(2))
    ours, theirs = ({one.take().index for _ in range(10)} for one in (first, second))
    assert not ours & theirs
    more = {first.take().index for _ in range(BLOCK_IDS)}
    assert not more & theirs
    first.close()
    assert not {second.take().index for _ in range(2 * BLOCK_IDS)} & theirs, "a server that is gone holds nothing"
    second.close()


@pytest.mark.root
def test_blocks_are_the_same_for_ranges_that_overlap(tmp_path: Path) -> None:
    wide, narrow = (IdentityRange(base=base, count=BLOCK_IDS, blocks=Blocks(tmp_path)) for base in (BASE, BASE + 100))
    first = wide.take().index + BASE
    assert narrow.take().index + BASE + 100 != first
    wide.close()
    narrow.close()


@pytest.mark.root
def test_every_live_cell_has_an_id_of_its_own(identities: IdentityRange) -> None:
    taken = [identities.take() for _ in range(COUNT - 1)]
    assert len({identity.index for identity in taken}) == COUNT - 1
    assert len({identity.uid_map for identity in taken}) == COUNT - 1


@pytest.mark.root
def test_the_templates_id_is_no_cells_user(identities: IdentityRange) -> None:
    maps = [identities.take().uid_map.splitlines() for _ in range(COUNT - 1)]
    users = {line.split()[1] for lines in maps for line in lines if line.startswith("1000 ")}
    assert "0" not in users


@pytest.mark.root
def test_host_root_is_in_no_map(identities: IdentityRange) -> None:
    assert identities.template_uid_map == identities.template_gid_map == f"0 {BASE} {COUNT}\n"


@pytest.mark.root
def test_a_used_up_range_is_said_and_names_the_setting(identities: IdentityRange) -> None:
    for _ in range(COUNT - 1):
        identities.take()
    with pytest.raises(HostNotReady, match="CELLBLOCK_UID_COUNT"):
        identities.take()


@pytest.mark.root
def test_an_id_given_back_is_used_again_as_late_as_possible(identities: IdentityRange) -> None:
    first = identities.take()
    identities.give_back(first)
    later = [identities.take().index for _ in range(COUNT - 1)]
    assert later[-1] == first.index
    assert first.index not in later[:-1]


def test_a_cell_has_one_user_whoever_runs_the_host(identities: IdentityRange) -> None:
    assert identities.take().uid_map.startswith("1000 ")
    assert identities.take().gid_map == "1000 0 1\n"


@pytest.mark.usefixtures("ordinary_user")
def test_an_ordinary_users_cells_share_the_users_id() -> None:
    identities = IdentityRange(base=BASE, count=COUNT, blocks=Blocks(Path("/nowhere")))
    assert identities.template_uid_map == f"0 {os.geteuid()} 1\n"
    assert identities.take() == identities.take()
