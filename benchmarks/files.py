"""What the service does to large files, beside the same HTTP server that only copies them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from _measuring import MB, MS, Report, Samples, command_line, progress
from _serving import Server, Session, memory_bytes, server

PLAIN_COPY = Path(__file__).with_name("_plain_copy.py")
WRITE_MB, READ_MB = 100, 16
SMALL_FILE = "a small file\n"
RESET_PEAK = "5"  # proc(5), clear_refs


@dataclass(frozen=True, slots=True)
class Measured:
    """One direction: the server's seconds, the client's, and by how many bytes the server grew at most."""

    server: Samples
    client: Samples
    peak_growth_bytes: int


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, count=(3, "runs of each"), small=(10_000, "small files"))
    report = Report("files")
    written, read = os.urandom(WRITE_MB * MB), os.urandom(READ_MB * MB)
    with server(pool_size=0) as running:
        session = Session(running.client())
        writing = measure_writes(running, session, written, arguments.count)
        reading = measure_reads(running, session, read, arguments.count)
        writing_small, listing = measure_small(running, session, arguments.small, arguments.count)
    plain_write, plain_read = measure_plain_copies(written, read, arguments.count)
    wrapped, _ = measure_plain_copies(as_json(written), b"", arguments.count)
    report.add(f"writeFiles of {WRITE_MB} MB, server", writing.server)
    report.add(f"writeFiles of {WRITE_MB} MB, client", writing.client)
    report.add(f"floor: a plain copy of {WRITE_MB} MB", plain_write)
    report.add("floor: a plain copy of its base64, as clients send it", wrapped)
    report.add(f"readFiles of {READ_MB} MB, server", reading.server)
    report.add(f"readFiles of {READ_MB} MB, client", reading.client)
    report.add(f"floor: a plain copy of {READ_MB} MB", plain_read)
    add_small(report, writing_small, listing, arguments.small)
    report.add("floor: as many files by a plain program, on tmpfs", measure_plain_small(arguments.small, arguments.count))
    report.note("writeFiles over the plain copy of base64", f"{writing.server.p50 / wrapped.p50:.2f} ×")
    report.judge("write-time", writing.server.p50 / plain_write.p50)
    report.judge("write-memory", writing.peak_growth_bytes / len(written))
    report.judge("read-time", reading.server.p50 / plain_read.p50)
    report.judge("read-memory", reading.peak_growth_bytes / len(read))
    report.show(arguments)


def measure_writes(running: Server, session: Session, content: bytes, count: int) -> Measured:
    """The same file again and again."""
    progress(f"{count} times writeFiles of {len(content) // MB} MB")
    client = Samples()
    with peak_growth(running.pid) as growth:
        for _ in range(count):
            with client.time():
                session.invoke("writeFiles", content=[{"path": "large.bin", "blob": content}])
    return Measured(seconds_of(running, "writeFiles", count), client, growth[0])


def measure_reads(running: Server, session: Session, content: bytes, count: int) -> Measured:
    """The same file again and again; each answer is compared."""
    progress(f"{count} times readFiles of {len(content) // MB} MB")
    session.invoke("writeFiles", content=[{"path": "read.bin", "blob": content}])
    client = Samples()
    with peak_growth(running.pid) as growth:
        for _ in range(count):
            with client.time():
                result = session.invoke("readFiles", paths=["read.bin"])
            if result["content"][0]["resource"]["blob"] != content:
                raise RuntimeError("the file came back changed")
    return Measured(seconds_of(running, "readFiles", count), client, growth[0])


def measure_small(running: Server, session: Session, number: int, count: int) -> tuple[Measured, Measured]:
    """Many files in one call, and the listing of their directory; it is emptied each time."""
    progress(f"{count} times {number} small files")
    content = [{"path": f"many/{index}.txt", "text": SMALL_FILE} for index in range(number)]
    writes, lists = Samples(), Samples()
    with peak_growth(running.pid) as growth:
        for _ in range(count):
            session.invoke("executeCommand", command="rm -rf many")
            with writes.time():
                session.invoke("writeFiles", content=content)
            with lists.time():
                listed = session.invoke("listFiles", directoryPath="many")["content"]
            if len(listed) != number:
                raise RuntimeError(f"{len(listed)} of {number} files were listed")
    written = Measured(seconds_of(running, "writeFiles", count), writes, growth[0])
    return written, Measured(seconds_of(running, "listFiles", count), lists, growth[0])


def add_small(report: Report, written: Measured, listed: Measured, number: int) -> None:
    """Their rows."""
    report.add(f"writeFiles of {number} small files, server", written.server)
    report.add(f"writeFiles of {number} small files, client", written.client)
    report.add(f"listFiles of {number} entries, server", listed.server)
    report.add(f"listFiles of {number} entries, client", listed.client)
    report.judge("write-small", written.server.p50 * MS)
    report.judge("list-many", listed.server.p50 * MS)


def measure_plain_small(number: int, count: int) -> Samples:
    """What the file system itself takes."""
    samples = Samples()
    with tempfile.TemporaryDirectory(prefix="cellblock-benchmark-", dir="/dev/shm") as directory:
        for run in range(count):
            place = Path(directory, str(run))
            place.mkdir()
            with samples.time():
                for index in range(number):
                    (place / f"{index}.txt").write_text(SMALL_FILE)
    return samples


@contextmanager
def peak_growth(pid: int) -> Iterator[list[int]]:
    """How far the process's memory rose above where it stood before; filled in at the end of the block."""
    Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)
    before = memory_bytes(pid, "VmRSS")
    growth: list[int] = []
    yield growth
    growth.append(memory_bytes(pid, "VmHWM") - before)


def seconds_of(running: Server, tool: str, count: int) -> Samples:
    """What the server's log says of the last calls of the tool, from the head of the request to the end of the answer."""
    while True:
        lines = [line for line in running.requests("InvokeCodeInterpreter") if line["tool"] == tool]
        if len(lines) >= count:
            return Samples([line["ms"] / 1000 for line in lines[-count:]])
        running.ping()  # a thread of the server writes the log


def as_json(content: bytes) -> bytes:
    """About what the client sends: the length is what counts."""
    return json.dumps({"arguments": {"content": [{"path": "large.bin", "blob": "A" * (len(content) * 4 // 3)}]}}).encode()


def measure_plain_copies(written: bytes, read: bytes, count: int) -> tuple[Samples, Samples]:
    """The application's seconds for a POST and for a GET."""
    progress(f"{count} plain copies")
    writes, reads = Samples(), Samples()
    with tempfile.TemporaryDirectory(prefix="cellblock-benchmark-", dir="/dev/shm") as directory:  # sessions' files are in memory too
        command = [sys.executable, str(PLAIN_COPY), str(Path(directory, "copy"))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            connection = http.client.HTTPConnection("127.0.0.1", int(process.stdout.readline()))
            for body, samples, method in ((written, writes, "POST"), (read, Samples(), "POST"), (b"", reads, "GET")):
                samples.values += [ask(connection, method, body, process.stdout) for _ in range(count)]
            connection.close()
            process.send_signal(signal.SIGTERM)
    return writes, reads


def ask(connection: http.client.HTTPConnection, method: str, body: bytes, output: IO[str]) -> float:
    """One request; the seconds that the application printed."""
    connection.request(method, "/", body=body)
    connection.getresponse().read()
    return float(output.readline())


if __name__ == "__main__":
    main()
