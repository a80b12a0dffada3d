"""What an idle session with pandas loaded costs in memory."""

from __future__ import annotations

from _measuring import Report, Samples, command_line, progress
from _serving import Session, available_bytes, memory_bytes, server

FIRST_LINE = "import pandas as pd; print(pd.DataFrame({'a': [1]}).shape)"
GB = 1_000_000_000
REST_SECONDS = 5  # some seconds after the first of them the system has counted what it gave back
TO_MB = 1e-6


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, count=(50, "idle sessions"))
    report = Report("memory")
    private, proportional = Samples(), Samples()
    with server(pool_size=0, max_sessions=arguments.count + 1, rest_seconds=REST_SECONDS) as running:
        client = running.client()
        Session(client).run(FIRST_LINE)  # what the first one costs the server and the template is not a session's
        running.wait_for_rest(1)
        before, server_before = available_bytes(), memory_bytes(running.pid, "VmRSS")
        progress(f"{arguments.count} idle sessions")
        for _ in range(arguments.count):
            Session(client).run(FIRST_LINE)
        running.wait_for_pool(0, busy=arguments.count + 1)
        running.wait_for_rest(arguments.count + 1)
        taken, server_taken = before - available_bytes(), memory_bytes(running.pid, "VmRSS") - server_before
        for cell in running.cells():
            private.values.append(sum(memory_bytes(pid, "Private_Clean", "Private_Dirty") for pid in cell))
            proportional.values.append(sum(memory_bytes(pid, "Pss") for pid in cell))
        template = memory_bytes(running.template_pid, "VmRSS")
    report.add("private memory of a session's processes", private, unit="MB", scale=TO_MB)
    report.add("with its share of the shared pages (Pss)", proportional, unit="MB", scale=TO_MB)
    report.note("floor: what was imported, once for all sessions (template, VmRSS)", f"{template * TO_MB:.1f} MB")
    report.note("growth of the server for one session", f"{server_taken / arguments.count * TO_MB:.2f} MB")
    whole = taken / arguments.count
    report.note("fall of the machine's available memory for one session, the kernel's part too", f"{whole * TO_MB:.2f} MB")
    report.note("sessions a GB by private memory alone", f"{GB / (sum(private.values) / len(private.values)):.0f}")
    report.judge("sessions-a-gigabyte", GB / whole)
    report.show(arguments)


if __name__ == "__main__":
    main()
