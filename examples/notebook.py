"""A notebook-like session: cells run one after the other, print while they run, and are kept as a .ipynb file with their outputs.

Needs a server on this machine, or the variables of `cellblock env`. Usage: notebook.py [NOTEBOOK.ipynb]
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

from cellblock.client import Result, Session

CELLS = (
    "import numpy as np\nrng = np.random.default_rng(7)",
    "for size in (10_000, 100_000, 1_000_000):\n"
    "    inside = (rng.random((size, 2)) ** 2).sum(axis=1) < 1\n"
    "    print(f'{size:>9,} points: pi is about {4 * inside.mean():.4f}', flush=True)",
    "%timeit -n 10 -r 3 rng.random(100_000)",
    "!ls -a",
    "import matplotlib.pyplot as plt\npoints = rng.random((2000, 2))\nplt.figure(figsize=(4, 4))\n"
    "plt.scatter(*points.T, s=4, c=(points**2).sum(axis=1) < 1)\nplt.show()",
    "4 * ((points**2).sum(axis=1) < 1).mean()",
)


def run(session: Session, code: str, number: int) -> Result:
    """Run a cell and show what it prints as it comes."""
    print(f"In [{number}]: " + code.replace("\n", "\n   ...: "))
    result = session.run(code, on_output=lambda piece: print(piece.text, end="", flush=True))
    print("".join(f"[a picture of {len(image.data):,} bytes]\n" for image in result.images))
    return result.raise_for_error()


def cell(code: str, number: int, result: Result) -> dict[str, Any]:
    """A cell as nbformat 4 has it."""
    stream = [{"output_type": "stream", "name": "stdout", "text": result.stdout}] if result.stdout else []
    pictures = [
        {"output_type": "display_data", "metadata": {}, "data": {image.mime_type: base64.b64encode(image.data).decode()}}
        for image in result.images
    ]
    return {"cell_type": "code", "execution_count": number, "metadata": {}, "source": code, "outputs": [*stream, *pictures]}


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "session.ipynb")
    with Session() as session:
        cells = [cell(code, number, run(session, code, number)) for number, code in enumerate(CELLS, start=1)]
    target.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}, indent=1))
    print(f"saved {target}")


if __name__ == "__main__":
    main()
