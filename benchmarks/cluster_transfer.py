"""100 MB to a session's node and back: what a front end's hop by HTTP adds, beside the same bytes through Ray's object store."""

from __future__ import annotations

import importlib
import os
import tempfile
from typing import Any

from _clusters import cluster
from _measuring import MB, Report, Samples, command_line, progress

from cellblock import client as own
from cellblock.machine.data_directory import read_credentials

PATH = "body.bin"
STORE_BYTES = 600 * MB


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, count=(3, "times there and back each way"), megabytes=(100, "the body's size in MB"))
    report = Report("cluster_transfer")
    body = os.urandom(arguments.megabytes * MB)
    through, straight = by_http(body, arguments.count)
    stored = by_object_store(body, arguments.count)
    report.add("written and read through the front end", through)
    report.add("the same straight at the node", straight)
    report.add("to an actor of Ray and back, by its object store", stored)
    report.judge("hop-over-object-store", max(0.0, through.p50 - straight.p50) / stored.p50)
    report.show(arguments)


def by_http(body: bytes, count: int) -> tuple[Samples, Samples]:
    """A file of a session of each way, in turns; both are at the one node."""
    progress("by HTTP")
    through, straight = Samples(), Samples()
    with (
        cluster(1) as made,
        own.Client(server_of(made.front_ends[0])).session() as one,
        own.Client(server_of(made.nodes[0])).session() as other,
    ):
        for number in range(count + 1):
            for session, samples in ((one, through), (other, straight)):
                with samples.time():
                    session.write(PATH, body)
                    found = session.read(PATH)
                if found != body:
                    raise RuntimeError("the file came back changed")
                if number == 0:
                    samples.values.clear()
    return through, straight


def server_of(process: Any) -> own.Server:
    """Where one process of a cluster is, with its key."""
    key = read_credentials(process.data_dir)
    if key is None:
        raise RuntimeError(f"{process.data_dir} holds no credentials")
    return own.Server(process.url, key.id, key.secret)


def by_object_store(body: bytes, count: int) -> Samples:
    """An actor that gives back what it gets; Ray keeps arguments and results of this size in its object store."""
    progress("by Ray")
    samples = Samples()
    with tempfile.TemporaryDirectory(prefix="cellblock-ray-") as home:
        os.environ |= {"HOME": home, "RAY_USAGE_STATS_ENABLED": "0"}
        ray: Any = importlib.import_module("ray")
        ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=STORE_BYTES, log_to_driver=False)
        try:
            echo = ray.remote(Echo).remote()
            for number in range(count + 1):
                with samples.time():
                    found = ray.get(echo.back.remote(body))
                if found != body:
                    raise RuntimeError("the bytes came back changed")
                if number == 0:
                    samples.values.clear()
        finally:
            ray.shutdown()
    return samples


class Echo:
    """Gives back what it gets."""

    def back(self, body: bytes) -> bytes:
        """The same."""
        return body


if __name__ == "__main__":
    main()
