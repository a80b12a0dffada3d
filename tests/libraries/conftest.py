"""Real work of the bundled libraries, a file each, run in many cells at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing

import pytest

from cellblock.runtime.builds import Runtime
from cells import Bench, bench_settings

# what takes long to import and is then shared by the cells, as it is in the template of a server
PRELOADED = (
    *("numpy", "pandas", "matplotlib.pyplot", "scipy.stats", "scipy.signal", "scipy.integrate", "scipy.ndimage", "scipy.fft"),
    *("sklearn.ensemble", "sklearn.cluster", "sklearn.decomposition", "sklearn.model_selection", "sklearn.pipeline"),
    *("sqlalchemy", "sympy", "networkx", "PIL.Image", "reportlab.pdfgen.canvas", "pypdf", "docx", "openpyxl", "bs4"),
)


@pytest.fixture(scope="session")
def bench(built_runtime: Runtime) -> Iterator[Bench]:
    """A node whose cells have all barriers."""
    with closing(Bench(dataclasses.replace(bench_settings(), preload=PRELOADED), built_runtime)) as made:
        yield made
