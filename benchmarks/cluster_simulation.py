"""A thousand nodes and a hundred thousand sessions on a simulated clock: how placement spreads them, when it refuses, what it costs."""

from __future__ import annotations

import statistics

from _measuring import Report, Samples, command_line, progress
from _simulated_cluster import Cluster, Outcome, Plan

FRONT_ENDS = (1, 8, 64)
LOADS = (90, 95, 99, 100)  # percent of the room
MICROSECONDS = 1e6


def main() -> None:
    """Run it."""
    arguments = command_line(
        __doc__,
        nodes=(1000, "nodes"),
        sessions=(100_000, "live sessions"),
        capacity=(125, "sessions that a node takes"),
        front_ends=(FRONT_ENDS[-1], "front ends at most"),
        starts=(2000, "starts a second"),
        seconds=(5, "seconds of starts and ends after the filling"),
    )
    report = Report("cluster_simulation")
    plan = Plan(
        nodes=arguments.nodes,
        capacity=arguments.capacity,
        front_ends=1,
        sessions=arguments.sessions,
        starts_a_second=arguments.starts,
    )
    most = [number for number in FRONT_ENDS if number <= arguments.front_ends]
    for number in most:
        last = spread(report, changed(plan, front_ends=number), arguments.seconds)
    report.judge("simulation-spread", last.fullest_over_mean)
    report.judge("simulation-placement", Samples(last.placement_seconds).p99 * MICROSECONDS)
    report.note(f"figures read every 5 s, {most[-1]} front ends", told(run(changed(plan, front_ends=most[-1], look_seconds=5.0), 0)))
    refused = {load: rejected(report, plan, load, most[len(most) // 2], arguments.seconds) for load in LOADS}
    report.judge("simulation-refused", max(share for load, share in refused.items() if load <= 95))
    report.show(arguments)


def changed(plan: Plan, *, front_ends: int, look_seconds: float = 1.0, sessions: int = 0) -> Plan:
    """The plan with other front ends."""
    return Plan(
        nodes=plan.nodes,
        capacity=plan.capacity,
        front_ends=front_ends,
        sessions=sessions or plan.sessions,
        starts_a_second=plan.starts_a_second,
        look_seconds=look_seconds,
    )


def run(plan: Plan, seconds: float) -> Outcome:
    """Fill the cluster, then let sessions come and go."""
    cluster, outcome = Cluster(plan), Outcome()
    cluster.fill(outcome)
    cluster.churn(outcome, seconds)
    return outcome


def spread(report: Report, plan: Plan, seconds: float) -> Outcome:
    """The rows of one number of front ends."""
    progress(f"{plan.sessions} sessions by {plan.front_ends} front ends")
    outcome = run(plan, seconds)
    report.add(f"sessions of a node, {plan.front_ends} front ends", Samples([float(live) for live in outcome.live]), unit="", scale=1)
    report.add(f"a placement, {plan.front_ends} front ends", Samples(outcome.placement_seconds), unit="µs", scale=MICROSECONDS)
    report.note(f"{plan.front_ends} front ends", told(outcome))
    return outcome


def told(outcome: Outcome) -> str:
    """The facts of a run in a line."""
    return (
        f"fullest node {outcome.fullest_over_mean:.3f} × the mean, standard deviation {statistics.pstdev(outcome.live):.2f} sessions; "
        f"{outcome.retried} of {outcome.starts} starts went to a second or third node, {outcome.refused} were refused"
    )


def rejected(report: Report, plan: Plan, load: int, front_ends: int, seconds: float) -> float:
    """Percent of the starts that are refused while so large a part of the room is taken."""
    sessions = plan.nodes * plan.capacity * load // 100
    progress(f"{load} % of the room")
    cluster = Cluster(changed(plan, front_ends=front_ends, sessions=sessions))
    filling, outcome = Outcome(), Outcome()
    cluster.fill(filling)
    cluster.churn(outcome, seconds)
    share = 100 * outcome.refused / max(outcome.starts, 1)
    again = 100 * outcome.retried / max(outcome.starts, 1)
    report.note(
        f"{load} % of the room taken, {front_ends} front ends",
        f"refused {share:.2f} % of the starts, a second or third node took {again:.2f} %; "
        f"{100 * filling.refused / filling.starts:.2f} % while it was filled",
    )
    return share


if __name__ == "__main__":
    main()
