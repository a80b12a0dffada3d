"""Optimisation, integration, sparse systems, signals, statistics, special functions."""
import numpy as np
from scipy import fft, integrate, interpolate, linalg, ndimage, optimize, signal, sparse, spatial, special, stats
from scipy.sparse.linalg import eigsh, spsolve

found = optimize.minimize(optimize.rosen, [1.3, 0.7, 0.8], method="BFGS")
assert np.allclose(found.x, 1, atol=1e-3)
assert abs(optimize.brentq(np.cos, 0, 3) - np.pi / 2) < 1e-9
assert optimize.linprog([-1, -2], A_ub=[[1, 1]], b_ub=[4]).status == 0
assert abs(integrate.quad(np.exp, 0, 1)[0] - (np.e - 1)) < 1e-9
solved = integrate.solve_ivp(lambda t, y: -y, (0, 1), [1.0], rtol=1e-8)
assert abs(solved.y[0, -1] - np.exp(-1)) < 1e-6
system = sparse.diags([-1, 2.1, -1], [-1, 0, 1], shape=(400, 400), format="csc")
assert np.allclose(system @ spsolve(system, np.ones(400)), 1)
assert eigsh(system, k=3, return_eigenvectors=False).shape == (3,)
assert np.allclose(fft.irfft(fft.rfft(np.arange(64.0))), np.arange(64.0))
assert signal.find_peaks(np.sin(np.linspace(0, 20, 500)))[0].size == 3
assert ndimage.gaussian_filter(np.eye(50), 2).shape == (50, 50)
assert interpolate.CubicSpline(range(10), range(10))(4.5) == 4.5
assert spatial.cKDTree(np.eye(5)).query(np.eye(5))[0].sum() == 0
assert spatial.ConvexHull(np.random.default_rng(1).random((30, 2))).area > 0
assert abs(special.gamma(5) - 24) < 1e-9
assert stats.ttest_ind(np.arange(10), np.arange(10) + 5).pvalue < 0.01
assert np.allclose(linalg.expm(np.zeros((3, 3))), np.eye(3))
print("fine")
