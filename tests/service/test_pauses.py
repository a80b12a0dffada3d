"""How long what ended stays away before it is started again."""

from cellblock.machine.pauses import LASTING_SECONDS, Pauses


def test_pauses_double_up_to_the_longest() -> None:
    pauses = Pauses(1.0, 5.0)
    assert [pauses.after(0.1) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_run_that_lasted_begins_anew() -> None:
    pauses = Pauses(1.0, 5.0)
    assert [pauses.after(seconds) for seconds in (0.1, 0.1, LASTING_SECONDS + 1, 0.1)] == [1.0, 2.0, 1.0, 2.0]
