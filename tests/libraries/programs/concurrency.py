"""Threads, asyncio with processes, sockets and signals, and files watched, mapped and locked."""
import asyncio
import fcntl
import mmap
import os
import queue
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

with ThreadPoolExecutor(16) as pool:
    assert sum(pool.map(lambda n: n * n, range(200))) == sum(n * n for n in range(200))
barrier, seen = threading.Barrier(8), queue.Queue()
threads = [threading.Thread(target=lambda: (barrier.wait(10), seen.put(threading.get_native_id()))) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join(10) for thread in threads]
assert len(set(seen.queue)) == 8


async def echo(reader, writer):
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()

    async def ask(n):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"%d\n" % n)
        line = await reader.readline()
        writer.close()
        return int(line)

    assert await asyncio.gather(*map(ask, range(20))) == list(range(20))
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(42)", stdout=asyncio.subprocess.PIPE)
    assert (await child.communicate())[0] == b"42\n"
    assert await asyncio.to_thread(lambda: 5) == 5
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))
    server.close()
    await server.wait_closed()


runner = threading.Thread(target=lambda: asyncio.run(main()))
runner.start()
runner.join(60)
assert not runner.is_alive()
fired = []
signal.signal(signal.SIGALRM, lambda *_: fired.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01)
limit = time.monotonic() + 10
while not fired and time.monotonic() < limit:
    select.select([], [], [], 0.05)
assert fired
with tempfile.TemporaryFile() as file:
    file.truncate(8192)
    fcntl.flock(file, fcntl.LOCK_EX)
    fcntl.lockf(file, fcntl.LOCK_EX)
    with mmap.mmap(file.fileno(), 8192) as area:
        area[:2] = b"ok"
    assert os.pread(file.fileno(), 2, 0) == b"ok"
    assert os.posix_fallocate(file.fileno(), 0, 100) is None
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [0])
assert len(socket.recv_fds(b, 10, 1)[1]) == 1
poll = select.epoll()
poll.register(b, select.EPOLLIN)
a.send(b"x")
assert poll.poll(5)
os.eventfd(1)
os.pidfd_open(os.getpid())
assert os.sched_getaffinity(0) and os.cpu_count()
os.nice(1)
print("fine")
