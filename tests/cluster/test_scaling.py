"""How many nodes are wanted, which can go, and who says so."""

from __future__ import annotations

from cellblock.cluster.scaling import Council, Load, Peak, dispensable, nodes_wanted


def nodes(*live: int, capacity: int = 10, idle_seconds: float = 100.0) -> list[Load]:
    return [Load(id=str(number), capacity=capacity, live=count, idle_seconds=idle_seconds) for number, count in enumerate(live)]


def test_nodes_that_hold_everything_are_enough() -> None:
    assert nodes_wanted(nodes(10, 9), demand=1, spare=0) == 2


def test_sessions_without_room_want_as_many_nodes_as_hold_them() -> None:
    assert nodes_wanted(nodes(10, 10), demand=11, spare=0) == 4


def test_spare_room_is_wanted_before_anybody_is_refused() -> None:
    assert nodes_wanted(nodes(10, 8), demand=0, spare=5) == 3


def test_the_first_node_is_wanted_by_the_first_refused_session() -> None:
    assert nodes_wanted([], demand=0, spare=0) == 0
    assert nodes_wanted([], demand=100, spare=0) == 1


def test_node_without_room_to_tell_of_asks_for_none() -> None:
    assert nodes_wanted(nodes(0, capacity=0), demand=1, spare=0) == 2


def test_idle_node_can_go_when_the_others_have_room() -> None:
    assert [load.id for load in dispensable(nodes(5, 0, 5), 0, 0, after_seconds=60)] == ["1"]


def test_idle_node_stays_when_its_room_is_needed() -> None:
    assert dispensable(nodes(10, 0, 10), 0, 1, after_seconds=60) == []
    assert dispensable(nodes(10, 0, 10), 1, 0, after_seconds=60) == []


def test_node_that_was_busy_a_moment_ago_stays() -> None:
    assert dispensable(nodes(0, 0, idle_seconds=59), 0, 0, after_seconds=60) == []


def test_one_node_stays_of_an_idle_cluster() -> None:
    assert len(dispensable(nodes(0, 0, 0), 0, 0, after_seconds=60)) == 2


def test_highest_figure_counts_until_its_window_is_over() -> None:
    peak = Peak(10)
    assert [peak.add(figure, time) for time, figure in ((0, 3), (5, 1), (10, 2), (11, 1), (21, 0))] == [3, 3, 3, 2, 1]


def test_oldest_front_end_acts_for_all_and_hears_what_all_refused() -> None:
    council = Council()
    assert council.report("a", 1, 0.0).is_first
    second = council.report("b", 2, 0.5)
    assert (second.is_first, second.demand) == (False, 3)
    assert council.report("a", 4, 1.0).demand == 6


def test_silent_front_end_is_followed_by_another() -> None:
    council = Council()
    council.report("a", 1, 0.0)
    council.report("b", 0, 4.0)
    standing = council.report("b", 0, 5.1)
    assert (standing.is_first, standing.demand) == (True, 0)
    assert not council.report("a", 0, 5.2).is_first


def test_machine_that_was_given_back_has_no_node_until_it_is_recalled_or_gone() -> None:
    council = Council()
    for machine in ("a", "b", "c"):
        council.give_back(machine)
    council.recall("a")
    assert council.given_back(["a", "b"]) == ["b"]
    assert council.given_back(["a", "b", "c"]) == ["b"]
