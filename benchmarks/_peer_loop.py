"""Stands in for a kernel where a peer has none: runs each line of JSON from standard input and answers with what it printed."""

from __future__ import annotations

import contextlib
import io
import json
import sys

names = {"__name__": "__main__"}
for line in sys.stdin:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(json.loads(line), "<cell>", "exec"), names)
    print(json.dumps(printed.getvalue()), flush=True)
