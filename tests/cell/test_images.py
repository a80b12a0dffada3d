"""Pictures that code shows."""

from __future__ import annotations

import pytest

from cell.client import AgentClient

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


def test_shown_plot_is_a_png_and_no_text(agent: AgentClient) -> None:
    reply = agent.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    assert reply.stdout == b""
    assert [(kind, data[:8]) for kind, data in reply.images.values()] == [("image/png", PNG)]


def test_plot_that_is_not_shown_gives_no_image(agent: AgentClient) -> None:
    code = """
import io, matplotlib.pyplot as plt
plt.plot([1, 2])
plt.savefig(buffer := io.BytesIO())
print(len(buffer.getvalue()) > 1000)
"""
    reply = agent.run(code)
    assert (reply.text, reply.images) == ("True", {})


def test_figure_of_an_earlier_call_can_be_shown(agent: AgentClient) -> None:
    agent.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nNone")
    assert len(agent.run("plt.show()").images) == 1
    assert len(agent.run("plt.show()").images) == 0


def test_several_images_come_in_order(agent: AgentClient) -> None:
    code = """
from PIL import Image
display(Image.new('RGB', (1, 1)))
display(Image.new('RGB', (2, 2)))
Image.new('RGB', (3, 3))
"""
    images = agent.run(code).images
    assert sorted(images) == [0, 1, 2]
    assert [int.from_bytes(data[16:20], "big") for _, data in images.values()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("code", "mime_type", "start"),
    [
        ("import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\nfigure", "image/png", PNG),
        ("class P:\n    def _repr_jpeg_(self): return b'\\xff\\xd8\\xff...'\nP()", "image/jpeg", JPEG),
        ("from IPython.display import SVG\nSVG('<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>')", "image/svg+xml", b"<svg"),
        (
            "import base64\nclass P:\n    def _repr_png_(self): return base64.b64encode(b'\\x89PNG\\r\\n\\x1a\\n').decode()\nP()",
            "image/png",
            PNG,
        ),
    ],
)
def test_value_with_an_image_representation_is_an_image(agent: AgentClient, code: str, mime_type: str, start: bytes) -> None:
    reply = agent.run(code)
    assert [(kind, data[: len(start)]) for kind, data in reply.images.values()] == [(mime_type, start)]
    assert reply.stdout == b""


def test_value_whose_image_is_broken_is_shown_as_text(agent: AgentClient) -> None:
    reply = agent.run("class P:\n    def _repr_png_(self): return 'not base64!'\n    def __repr__(self): return 'P'\nP()")
    assert (reply.text, reply.images) == ("P", {})


@pytest.mark.parametrize(("size", "kept"), [(8 * 1024 * 1024, 1), (8 * 1024 * 1024 + 1, 0)])
def test_images_over_the_limit_are_left_out_and_named(agent: AgentClient, size: int, kept: int) -> None:
    reply = agent.run(f"class P:\n    def _repr_png_(self): return b'x' * {size}\nP()")
    assert [len(data) for _, data in reply.images.values()] == [size] * kept
    assert ("1 image(s) not returned" in reply.meta["note"]) == (not kept)


def test_more_images_than_the_limit_are_left_out_and_named(agent: AgentClient) -> None:
    reply = agent.run("class P:\n    def _repr_png_(self): return b'x'\nfor _ in range(103): display(P())")
    assert sorted(reply.images) == list(range(100))
    assert "3 image(s) not returned" in reply.meta["note"]


def test_inline_magic_shows_open_figures_at_the_end(agent: AgentClient) -> None:
    assert len(agent.run("%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]);").images) == 1
