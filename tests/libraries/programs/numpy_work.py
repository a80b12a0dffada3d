"""Linear algebra, files mapped into memory, random numbers, and numpy's own checks of results."""
import io
import tempfile

import numpy
from numpy.testing import assert_allclose, assert_array_equal

random = numpy.random.default_rng(7)
matrix = random.normal(size=(120, 120))
assert_allclose(matrix @ numpy.linalg.inv(matrix), numpy.eye(120), atol=1e-8)
u, s, v = numpy.linalg.svd(matrix)
assert_allclose((u * s) @ v, matrix, atol=1e-10)
q, r = numpy.linalg.qr(matrix)
assert_allclose(q @ r, matrix, atol=1e-10)
values, vectors = numpy.linalg.eigh(matrix + matrix.T)
assert_allclose((matrix + matrix.T) @ vectors, vectors * values, atol=1e-8)
assert_allclose(numpy.fft.ifft(numpy.fft.fft(matrix)).real, matrix, atol=1e-12)
assert_array_equal(numpy.sort(matrix, axis=None), matrix.ravel()[numpy.argsort(matrix, axis=None)])
with tempfile.NamedTemporaryFile(suffix=".npy") as file:
    mapped = numpy.lib.format.open_memmap(file.name, mode="w+", dtype="f8", shape=(500, 100))
    mapped[:] = 3.0
    mapped.flush()
    assert numpy.load(file.name, mmap_mode="r").sum() == 150_000
buffer = io.BytesIO()
numpy.savez_compressed(buffer, a=matrix, b=numpy.arange(10))
buffer.seek(0)
assert_array_equal(numpy.load(buffer)["b"], numpy.arange(10))
text = io.StringIO()
numpy.savetxt(text, matrix[:5])
text.seek(0)
assert_allclose(numpy.loadtxt(text), matrix[:5])
assert_allclose(numpy.einsum("ij,ji->", matrix, matrix), numpy.trace(matrix @ matrix))
for kind in ("i1", "u8", "f2", "c16", "M8[s]", "S5", "U5", "O"):
    assert numpy.zeros(3, dtype=kind).copy().shape == (3,)
print("fine")
