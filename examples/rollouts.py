"""Batch rollouts for training: many sessions at once, each an episode of several steps whose code earns a reward.

Needs a server that allows so many sessions (`cellblock serve --max-sessions 200`) on this machine, or the variables of `cellblock env`.
The task: fit noisy points with a polynomial. A seeded policy that tries higher degrees with each step stands in for the trained model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from dataclasses import dataclass

from cellblock.client import AsyncClient, AsyncSession

STEPS = 4

ENVIRONMENT = """
import json
import numpy as np
rng = np.random.default_rng({seed})
x = np.sort(rng.uniform(-1, 1, 60))
y = np.polyval(rng.normal(size=4), x) + rng.normal(scale=0.1, size=60)
train, held_out = slice(0, 60, 2), slice(1, 60, 2)
def reward(degree):
    error = np.mean((np.polyval(np.polyfit(x[train], y[train], degree), x[held_out]) - y[held_out]) ** 2)
    return float(np.exp(-error / 0.02))
"""


@dataclass(frozen=True)
class Episode:
    """What one session did and earned."""

    seed: int
    actions: tuple[int, ...]
    rewards: tuple[float, ...]


async def act(session: AsyncSession, degree: int) -> float:
    """One step: run the action in the session, and read its reward."""
    result = await session.run(f"print(json.dumps(reward({degree})))")
    reward: float = json.loads(result.raise_for_error().text)
    return reward


async def rollout(client: AsyncClient, seed: int) -> Episode:
    """One episode in a session of its own; what it defined in the first step is there in the next."""
    policy = random.Random(seed)
    async with client.session(timeout_seconds=120) as session:
        (await session.run(ENVIRONMENT.format(seed=seed))).raise_for_error()
        actions = tuple(policy.randint(step, 2 * step) for step in range(1, STEPS + 1))
        return Episode(seed, actions, tuple([await act(session, degree) for degree in actions]))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=100, help="episodes, all at once")
    sessions = parser.parse_args().sessions
    started = time.perf_counter()
    async with AsyncClient() as client:
        episodes = await asyncio.gather(*(rollout(client, seed) for seed in range(sessions)))
    seconds = time.perf_counter() - started
    best = max(episodes, key=lambda episode: episode.rewards[-1])
    for step in range(STEPS):
        print(f"step {step + 1}: mean reward {sum(episode.rewards[step] for episode in episodes) / sessions:.3f}")
    print(f"best episode {best.seed}: degrees {', '.join(map(str, best.actions))}, last reward {best.rewards[-1]:.3f}")
    print(f"{sessions} sessions at once, {sessions * (STEPS + 1) / seconds:.0f} steps a second, {seconds:.1f} s in all")


if __name__ == "__main__":
    asyncio.run(main())
