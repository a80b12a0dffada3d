"""What preloading a library saves a session's first call, and what it costs each fork: how the default of CELLBLOCK_PRELOAD was chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

from _measuring import Report, Samples, command_line, progress
from _serving import Server, Session, memory_bytes, server

TO_MB = 1e-6
CHOICES = {
    "nothing": "",
    "numpy, pandas": "numpy,pandas",
    "numpy, pandas, matplotlib (the default)": "numpy,pandas,matplotlib.pyplot",
    "the default and scipy, sklearn": "numpy,pandas,matplotlib.pyplot,scipy.stats,sklearn.linear_model",
    "the default and seaborn, plotly, statsmodels": "numpy,pandas,matplotlib.pyplot,seaborn,plotly.express,statsmodels.api",
}
NO_LIBRARY = "print(1 + 1)"
FRAME = "import pandas as pd; print(pd.DataFrame({'a': [1]}).shape)"
PLOT = "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.savefig('a.png'); plt.close()"
MODEL = "import numpy, sklearn.linear_model as m; print(m.LinearRegression().fit(numpy.eye(3), [1, 2, 3]).coef_.shape)"
CALLS = {"without a library": NO_LIBRARY, "pandas": FRAME, "a plot": PLOT, "sklearn": MODEL}


@dataclass(slots=True)
class Costs:
    """What sessions cost with one choice."""

    start: Samples = field(default_factory=Samples)
    first: dict[str, Samples] = field(default_factory=lambda: {name: Samples() for name in CALLS})
    idle: Samples = field(default_factory=Samples)
    template: Samples = field(default_factory=Samples)


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, count=(2, "sessions for each choice and kind of first call"))
    report = Report("preload")
    costs = {name: measure(name, modules, arguments.count) for name, modules in CHOICES.items()}
    for name, found in costs.items():
        report.add(f"{name}: start", found.start)
        for call, samples in found.first.items():
            report.add(f"{name}: first call: {call}", samples)
        report.add(f"{name}: own memory before it", found.idle, unit="MB", scale=TO_MB)
        report.add(f"{name}: template, once for all", found.template, unit="MB", scale=TO_MB)
    nothing, chosen = costs["nothing"], costs["numpy, pandas, matplotlib (the default)"]
    report.judge("preload-saves", nothing.first["pandas"].p50 / chosen.first["pandas"].p50)
    report.judge("preload-costs", chosen.start.p50 / nothing.start.p50)
    report.show(arguments)


def measure(name: str, modules: str, count: int) -> Costs:
    """A server with these modules preloaded; each session makes one call, so that each call is a first one."""
    progress(name)
    costs = Costs()
    with server(pool_size=0, preload=modules) as running:
        client = running.client()
        Session(client).stop()  # what the first one costs the server is not a session's
        costs.template.values.append(memory_bytes(running.template_pid, "VmRSS"))
        for _ in range(count):
            for call, code in CALLS.items():
                with costs.start.time():
                    session = Session(client)
                costs.idle.values.append(private_bytes(running))
                with costs.first[call].time():
                    session.run(code)
                session.stop()
    return costs


def private_bytes(running: Server) -> float:
    """Of the one session's processes, when they have nothing to do."""
    running.wait_for_pool(0, busy=1)
    (cell,) = running.cells()
    return float(sum(memory_bytes(pid, "Private_Clean", "Private_Dirty") for pid in cell))


if __name__ == "__main__":
    main()
