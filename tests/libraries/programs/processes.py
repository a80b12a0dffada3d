"""subprocess and multiprocessing by every way to start a process."""
import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import shared_memory

assert subprocess.run(["cat"], input="in", capture_output=True, text=True, check=True).stdout == "in"
assert subprocess.run("echo $((6*7)) | tr 4 x", shell=True, capture_output=True, text=True, check=True).stdout == "x2\n"
assert subprocess.run([sys.executable, "-c", "raise SystemExit(3)"]).returncode == 3
started = subprocess.Popen(["sleep", "100"], start_new_session=True)
os.killpg(started.pid, signal.SIGTERM)
assert started.wait(10) == -signal.SIGTERM
try:
    subprocess.run(["sleep", "100"], timeout=0.05)
except subprocess.TimeoutExpired:
    pass

for method in ("fork", "spawn", "forkserver"):
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]
    queue = context.Queue()
    child = context.Process(target=queue.put, args=(method,))
    child.start()
    assert queue.get(timeout=60) == method
    child.join(60)
    assert child.exitcode == 0
with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
    assert list(pool.map(pow, [2, 3], [5, 2])) == [32, 9]
memory = shared_memory.SharedMemory(create=True, size=4096)
child_pid = os.fork()
if child_pid == 0:
    memory.buf[:5] = b"hello"
    os._exit(0)
os.waitpid(child_pid, 0)
assert bytes(memory.buf[:5]) == b"hello"
memory.close()
memory.unlink()
lock, value = multiprocessing.Lock(), multiprocessing.Value("i", 0)
with lock:
    value.value += 1
with multiprocessing.Manager() as manager:
    shared = manager.dict(a=1)
    assert dict(shared) == {"a": 1}
print("fine")
