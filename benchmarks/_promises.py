"""The numbers that docs/specification.md promises, and what holds each of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A number with its bound; the script of that name in this directory measures it."""

    script: str
    what: str
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""

    @property
    def target(self) -> str:
        """The bound as people write it."""
        sign, bound = ("≥", self.at_least) if self.at_most is None else ("≤", self.at_most)
        return f"{sign} {bound:g} {self.unit}".strip() if bound else f"0 {self.unit}".strip()

    def is_held_by(self, value: float) -> bool:
        """Whether the bound is kept."""
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)


PROMISES = {
    "start-warm-p50": Promise(script="start", what="start a session and get its first pandas result, warm pool, p50", at_most=5, unit="ms"),
    "start-warm-p99": Promise(script="start", what="the same, p99", at_most=25, unit="ms"),
    "start-cold-p50": Promise(script="start", what="the same without a pool, p50", at_most=20, unit="ms"),
    "public-start": Promise(
        script="network", what="start of a session with the internet, over that of one without, warm pool, p50", at_most=2, unit="×"
    ),
    "round-trip-p50": Promise(script="round_trip", what="`executeCode` round trip, p50", at_most=2, unit="ms"),
    "round-trip-p99": Promise(script="round_trip", what="`executeCode` round trip, p99", at_most=6, unit="ms"),
    "refill-round-trip": Promise(
        script="refill", what="round trip while the pool opens a cell, over one while it rests, p50", at_most=1.1, unit="×"
    ),
    "node-round-trip-p50": Promise(script="languages", what="`executeCode` round trip of JavaScript on Node, p50", at_most=3, unit="ms"),
    "deno-round-trip-p50": Promise(script="languages", what="the same on Deno", at_most=3, unit="ms"),
    "sessions-at-once": Promise(
        script="sessions", what="100 sessions at once, each started and its first numpy result read", at_most=1, unit="s"
    ),
    "sessions-a-second": Promise(script="sessions", what="sessions started, used twice and stopped, a second", at_least=60),
    "preload-saves": Promise(
        script="preload",
        what="a new session's first pandas result with nothing preloaded, over that with the default",
        at_least=10,
        unit="×",
    ),
    "preload-costs": Promise(script="preload", what="its start with the default preloaded, over that with nothing", at_most=1.3, unit="×"),
    "sessions-a-gigabyte": Promise(script="memory", what="idle sessions with pandas loaded, in a GB of memory", at_least=200),
    "start-over-ipykernel": Promise(
        script="peers", what="ipykernel's start to its first pandas result, over that of a session", at_least=50, unit="×"
    ),
    "start-over-container": Promise(
        script="peers", what="the same of a container of an OCI runtime with a new Python", at_least=50, unit="×"
    ),
    "round-trip-over-ipykernel": Promise(
        script="peers", what="ipykernel's round trip over `executeCode`, each by its own client", at_least=3, unit="×"
    ),
    "round-trip-over-container": Promise(
        script="peers", what="the same of an ipykernel in a container of an OCI runtime", at_least=3, unit="×"
    ),
    "round-trip-of-boto3-over-ipykernel": Promise(script="peers", what="ipykernel's over `executeCode` by boto3", at_least=3, unit="×"),
    "round-trip-over-gateway": Promise(script="peers", what="its round trip by HTTP (jupyter-kernel-gateway)", at_least=3, unit="×"),
    "memory-over-ipykernel": Promise(
        script="peers", what="memory of an ipykernel that has used pandas, over that of a session", at_least=15, unit="×"
    ),
    "memory-over-container": Promise(
        script="peers", what="memory of a container of an OCI runtime that has, over that of a session", at_least=15, unit="×"
    ),
    "node-v-p50": Promise(script="yardsticks", what="create a session and run `node -v`, p50", at_most=42, unit="ms"),
    "node-v-failures": Promise(script="yardsticks", what="failures of 100 of them at one moment", at_most=0),
    "stages-unexplained": Promise(
        script="stages", what="part of a call's time that no stage of docs/performance.md explains", at_most=15, unit="%"
    ),
    "density-sessions": Promise(script="scale", what="live sessions on one machine, each with a pandas frame", at_least=1000),
    "density-memory": Promise(script="scale", what="memory that each of them takes, the kernel's part too", at_most=5, unit="MB"),
    "density-active-p99": Promise(
        script="scale", what="a pandas line in 100 of them at once, from the client's request to the result, p99", at_most=500, unit="ms"
    ),
    "scale-start": Promise(
        script="scale", what="p99 of start and first result with the most live sessions, over that with one", at_most=2, unit="×"
    ),
    "scale-round-trip": Promise(script="scale", what="the same of a round trip", at_most=2, unit="×"),
    "write-time": Promise(
        script="files",
        what="server's time for `writeFiles` of 100 MB, over that of a plain copy through the same HTTP server",
        at_most=3,
        unit="×",
    ),
    "write-memory": Promise(
        script="files", what="server's peak memory for `writeFiles` of 100 MB, over the file's size", at_most=4, unit="×"
    ),
    "read-time": Promise(
        script="files",
        what="server's time for `readFiles` of 16 MB, over that of a plain copy through the same HTTP server",
        at_most=3,
        unit="×",
    ),
    "read-memory": Promise(script="files", what="server's peak memory for `readFiles` of 16 MB, over the file's size", at_most=4, unit="×"),
    "write-small": Promise(script="files", what="server's time for `writeFiles` of 10,000 small files", at_most=1000, unit="ms"),
    "list-many": Promise(script="files", what="server's time for `listFiles` of 10,000 entries", at_most=250, unit="ms"),
    "output-lost": Promise(script="output", what="bytes lost or changed of 10 MB that code prints", at_most=0, unit="bytes"),
    "s3-lost": Promise(
        script="s3", what="bytes lost or changed of an object that `aws s3 cp` takes in and out of a session", at_most=0, unit="bytes"
    ),
    "s3-memory": Promise(script="s3", what="broker's peak memory meanwhile", at_most=150, unit="MB"),
    "cpu-ratio": Promise(script="cpu", what="time of CPU-bound code inside a session over outside", at_most=1.03, unit="×"),
    "hop-over-object-store": Promise(
        script="cluster_transfer",
        what="what a front end's hop adds to 100 MB there and back, over the same bytes by Ray's object store",
        at_most=1,
        unit="×",
    ),
    "front-end-hop": Promise(
        script="cluster", what="what a cluster's front end adds to an `executeCode` round trip, p50", at_most=1, unit="ms"
    ),
    "simulation-spread": Promise(
        script="cluster_simulation",
        what="sessions of the fullest of 1000 simulated nodes over the mean, 100,000 live, 64 front ends",
        at_most=1.1,
        unit="×",
    ),
    "simulation-placement": Promise(script="cluster_simulation", what="time of a placement among them, p99", at_most=200, unit="µs"),
    "simulation-refused": Promise(
        script="cluster_simulation", what="starts refused while at most 95 % of their room is taken", at_most=0, unit="%"
    ),
    "left-processes": Promise(script="leftovers", what="processes left after 1000 sessions", at_most=0),
    "left-mounts": Promise(script="leftovers", what="mounts left after 1000 sessions", at_most=0),
    "left-cgroups": Promise(script="leftovers", what="control groups left after 1000 sessions", at_most=0),
    "left-files": Promise(script="leftovers", what="files left after 1000 sessions", at_most=0),
    "left-descriptors": Promise(script="leftovers", what="descriptors of the server left after 1000 sessions", at_most=0),
    "left-memory": Promise(
        script="leftovers", what="growth of the server's and the template's memory over 1000 sessions", at_most=20, unit="MB"
    ),
    "soak-wrong": Promise(script="soak", what="wrong answers in 1000 sessions of mixed work, 32 at once", at_most=0),
    "soak-left-processes": Promise(script="soak", what="processes left after them", at_most=0),
    "soak-left-mounts": Promise(script="soak", what="mounts left after them", at_most=0),
    "soak-left-cgroups": Promise(script="soak", what="control groups left after them", at_most=0),
    "soak-left-files": Promise(script="soak", what="files left after them, beside the database", at_most=0),
    "soak-left-descriptors": Promise(script="soak", what="descriptors of the server left after them", at_most=0),
    "soak-left-memory": Promise(
        script="soak", what="growth of the server's and the template's memory over them, after a warm-up", at_most=20, unit="MB"
    ),
    "soak-left-after-end": Promise(script="soak", what="processes, mounts and control groups left when the server has ended", at_most=0),
    "fuzz-targets": Promise(script="fuzz", what="decoders and file tools that were fuzzed, 20 s each, guided by coverage", at_least=8),
    "fuzz-inputs": Promise(script="fuzz", what="inputs tried on them", at_least=10_000),
    "fuzz-findings": Promise(script="fuzz", what="findings: inputs that broke one of them", at_most=0),
}
