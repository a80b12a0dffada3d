"""Start a server of its own, run the other examples against it, stop it again: `make demo`."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
CELLBLOCK = Path(sys.executable).parent / "cellblock"
CHART = Path("demo-output") / "quarterly_sales.png"
READY = re.compile(r"cellblock is ready on (http://\S+)")
STOP_SECONDS = 30

NEXT = (
    ("{cellblock} run -c 'print(6 * 7)'", "one line in a fresh session"),
    ("{cellblock} serve", "a server on port 8080; then, in another terminal:"),
    ('eval "$({cellblock} env)"', "point this shell's AWS clients at it"),
    ("{python} examples/investment.py", "any of the examples, or code of your own"),
    ("{cellblock} doctor", "what this machine offers the sandbox"),
)


@contextmanager
def server(data_dir: Path) -> Iterator[str]:
    """A server on a free port, for as long as the block runs."""
    command = [CELLBLOCK, "serve", "--port", "0", "--data-dir", data_dir]
    with (data_dir / "server.log").open("w+") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            yield wait_until_ready(process, log.name)
        finally:
            stop(process)


def wait_until_ready(process: subprocess.Popen[str], log: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:  # ends when the server ends
        if found := READY.search(line):
            return found[1]
    sys.exit(f"the server did not start:\n{Path(log).read_text()}")


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        sys.exit(f"the server did not stop within {STOP_SECONDS} s and was killed")


def client_environment(data_dir: Path) -> dict[str, str]:
    """What `eval "$(cellblock env)"` does to a shell."""
    printed = subprocess.run([CELLBLOCK, "env", "--data-dir", data_dir], check=True, capture_output=True, text=True).stdout
    words = [word for line in printed.splitlines() for word in shlex.split(line, comments=True) if "=" in word]
    return dict(os.environ) | dict(word.split("=", 1) for word in words)


def run_example(environment: dict[str, str], name: str, *arguments: str) -> None:
    print(f"\n== examples/{name} ==", flush=True)
    subprocess.run([sys.executable, EXAMPLES / name, *arguments], env=environment, check=True)


def say_what_is_next() -> None:
    programs = {"cellblock": os.path.relpath(CELLBLOCK), "python": os.path.relpath(sys.executable)}
    lines = [(command.format(**programs), meaning) for command, meaning in NEXT]
    width = max(len(command) for command, _ in lines)
    print("\nThese were the unmodified AWS client packages, and the code they sent ran in sandboxes on this machine. To go on:\n")
    for command, meaning in lines:
        print(f"  {command:{width}}  {meaning}")


def main() -> None:
    subprocess.run([CELLBLOCK, "runtime", "build"], check=True)
    with tempfile.TemporaryDirectory(prefix="cellblock-demo-") as directory:
        with server(Path(directory)) as url:
            print(f"a server is ready on {url}")
            environment = client_environment(Path(directory))
            run_example(environment, "investment.py")
            run_example(environment, "csv_summary.py")
            run_example(environment, "order_report.py")
            run_example(environment, "sales_chart.py", str(CHART))
        print("\nthe server has stopped")
    say_what_is_next()


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"the demo ended early: {shlex.join(map(str, error.cmd))} ended with status {error.returncode}")
    except KeyboardInterrupt:
        sys.exit(130)
