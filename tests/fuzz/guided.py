"""One target under atheris, guided by coverage of the product: `python guided.py TARGET CORPUS -max_total_time=60`; see `make fuzz`."""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["cellblock", "cellblock_cell"]):
    from fuzz.targets import TARGETS


def main() -> None:
    """Hand the rest of the arguments to libFuzzer, which ends the process."""
    logging.disable()
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
