"""How much of what code and commands print arrives, and what is said of the rest."""

from __future__ import annotations

import re

import pytest

from running_server import Json, ServedSession, texts

LIMIT = 10 * 1024 * 1024
ERRORS = 64 * 1024  # of stderr beyond the limit
MARKER = re.compile(r"\[([0-9]+) bytes of output dropped: it is over the limit\]\Z")


def dropped(text: str) -> int:
    """The number of bytes that the marker names."""
    found = MARKER.search(text[-200:])
    assert found, text[-200:]
    return int(found[1])


def write(session: ServedSession, piece: str, count: int) -> Json:
    """Print a piece so many times, by writing to the stream at once."""
    return session.run(f"import sys\nNone if sys.stdout.write({piece!r} * {count}) else None")


def test_single_line_of_3_mb_arrives_whole(session: ServedSession) -> None:
    code = "import base64\ndata = bytes(range(256)) * 9216\nprint(base64.b64encode(data).decode())"
    assert len(session.printed(code)) == 3 * 1024 * 1024


def test_10_mb_of_output_arrive_exactly(session: ServedSession) -> None:
    result = write(session, "0123456789abcdef", LIMIT // 16)
    assert texts(result) == ["0123456789abcdef" * (LIMIT // 16)]
    assert result["structuredContent"]["stdout"] == texts(result)[0]


def test_output_beyond_10_mb_is_dropped_with_a_marker_that_counts_it(session: ServedSession) -> None:
    result = write(session, "0123456789abcdef", LIMIT // 16 + 1)
    (text,) = texts(result)
    assert dropped(text) == 16
    assert text.startswith("0123456789abcdef" * (LIMIT // 16))
    assert result["isError"] is False


def test_flood_is_counted_and_the_session_goes_on(session: ServedSession) -> None:
    result = session.command("head -c 200000000 /dev/zero | tr '\\0' x")
    assert dropped(result["structuredContent"]["stdout"]) == 200_000_000 - LIMIT
    assert session.printed("print('alive')") == "alive"


def test_both_streams_together_have_the_limit_and_errors_a_little_more(session: ServedSession) -> None:
    result = session.command("head -c 8000000 /dev/zero | tr '\\0' o; head -c 8000000 /dev/zero | tr '\\0' e >&2")
    stdout, stderr = result["structuredContent"]["stdout"], result["structuredContent"]["stderr"]
    kept = stdout.count("o" * 1000) * 1000 + len(stderr)
    assert LIMIT - 1000 <= kept <= LIMIT + ERRORS
    assert dropped(stdout) == 16_000_000 - 8_000_000 - len(stderr)


def test_error_after_output_beyond_the_limit_is_kept(session: ServedSession) -> None:
    result = session.run(f"print('x' * {LIMIT + 1})\n1/0")
    assert "ZeroDivisionError" in result["structuredContent"]["stderr"]


@pytest.mark.parametrize(
    "piece", ["\x00", "\x1b[0m", '"\\', "\U0001f389", "\u2028a"], ids=["nul", "escape", "quotes", "emoji", "separator"]
)
def test_output_that_bursts_the_event_as_json_is_cut_to_what_fits(session: ServedSession, piece: str) -> None:
    count = LIMIT // len(piece.encode())
    result = write(session, piece, count)
    kept = result["structuredContent"]["stdout"]
    if kept == piece * count:
        return
    lost = dropped(kept)
    kept = MARKER.sub("", kept).removesuffix("\n")
    assert len(kept.encode()) + lost == len(piece.encode()) * count
    assert kept == (piece * count)[: len(kept)], "cut between characters"


def test_image_has_room_beside_output_at_the_limit(session: ServedSession) -> None:
    code = "import sys, numpy, matplotlib.pyplot as plt\nplt.imshow(numpy.random.rand(300, 300)); plt.show()\nprint('x' * 10_000_000)"
    result = session.run(code)
    assert [block["type"] for block in result["content"]] == ["text", "image"]
    assert len(result["content"][0]["text"]) >= 9_000_000


def test_images_beyond_what_one_event_carries_are_told(session: ServedSession) -> None:
    code = (
        "import os\nfrom PIL import Image\nfrom IPython.display import display\n"
        "for _ in range(3):\n    display(Image.frombytes('RGB', (1000, 1300), os.urandom(3_900_000)))"
    )
    result = session.run(code)
    kinds = [block["type"] for block in result["content"]]
    assert kinds.count("image") in (1, 2)
    assert any("image" in text for text in texts(result))
    assert len([kind for kind in kinds if kind == "text"]) == 2
