"""Makes a small wheel, as an index serves it."""

from __future__ import annotations

import io
import zipfile


def wheel_name(name: str) -> str:
    """The file name of the one version that there is."""
    return f"{name}-1.0-py3-none-any.whl"


def make_wheel(name: str, source: str) -> bytes:
    """A wheel with one module of that name."""
    about = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": source,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{about}/RECORD"))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return content.getvalue()
