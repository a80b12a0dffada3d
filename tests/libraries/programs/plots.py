"""Figures of several kinds in several forms of files, with fonts of several scripts."""
import io

import matplotlib.pyplot as plt
import numpy as np

x = np.linspace(0, 6, 50)
figure, axes = plt.subplots(2, 3, figsize=(8, 5))
axes[0, 0].plot(x, np.sin(x), label="sin $\\alpha^2$")
axes[0, 1].scatter(x, x**2, c=x)
axes[0, 2].hist(np.sin(x), bins=10)
axes[1, 0].imshow(np.outer(x, x))
axes[1, 1].contourf(np.outer(x, x))
axes[1, 2].pie([1, 2, 3], labels=["一", "二", "三"])
axes[0, 0].legend()
figure.suptitle("日本語 한국어 Ünï")
for kind in ("png", "svg", "pdf"):
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=60)
    assert len(out.getvalue()) > 1000, kind
plt.close("all")
print("fine")
