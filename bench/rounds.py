"""Throughput in rounds.

A round of one block runs a static ceiling, then each of the block's targets with each of its loads,
in random order, then the static ceiling again. If the machine was not the same at both ends (the
two differ by more than 10 %), the round is dropped and repeated.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from loads import LOADS
from noise import Noise, wait_quiet
from stack import Failure, Progress, Void
from targets import KINDS, Targets
from wrk import Run, check, run_wrk

DRIFT = 0.10  # between the two static ceilings of a round
RUN_S = 0.2   # what a run of wrk takes beyond its seconds


@dataclass(frozen=True)
class Block:
    """What shares one pair of static ceilings: names of targets and loads."""

    title: str
    ceiling: str
    ceiling_load: str
    targets: tuple[str, ...]
    loads: tuple[str, ...]

    def runs(self) -> list[tuple[str, str]]:
        """Target and load, without what a target can't do."""
        return [(target, load) for target in self.targets for load in self.loads
                if LOADS[load].operation not in KINDS[target].without]


@dataclass
class Round:
    """A round of a block that counts: `static` is the mean of its two ends."""

    static: float
    runs: dict[tuple[str, str], Run] = field(default_factory=dict)

    def rate(self, target: str, load: str) -> float | None:
        """None if that run was void."""
        run = self.runs.get((target, load))
        return run.rate if run else None


class Rounds:
    """Runs rounds and keeps those that count. A round may be repeated `repeats` times its number
    again."""

    def __init__(self, targets: Targets, blocks: Sequence[Block], count: int, seconds: int,
                 patience: float, repeats: float, drift: float = DRIFT) -> None:
        self.targets = targets
        self.blocks = blocks
        self.count = count
        self.seconds = seconds
        self.patience = patience
        self.attempts = math.ceil(count * (1 + repeats))
        self.noise = Noise(targets.processes)
        self.kept: dict[Block, list[Round]] = {block: [] for block in blocks}
        self.dropped = {block: 0 for block in blocks}
        self.drift = drift
        self.voids: list[str] = []

    def planned_seconds(self) -> float:
        """Without repeats."""
        runs = sum(len(block.runs()) + 2 for block in self.blocks)
        return (runs * self.count * (self.seconds + RUN_S)
                + len(self.targets.found) * (1 + RUN_S))

    def warm_up(self) -> None:
        """Connections, buffers and caches are as they are in a service that runs."""
        for name, target in list(self.targets.found.items()):
            Progress.show(f"warming up: {KINDS[name].title}")
            try:
                run_wrk(target, LOADS["get-128"], 1)
            except Failure as e:
                if KINDS[name].role != "peer":
                    raise
                self.voids.append(f"warming up: {e}")
            Progress.spend(1 + RUN_S)

    def run(self) -> None:
        """All rounds of all blocks, repeating dropped ones within bounds."""
        for attempt in range(self.attempts):
            wanting = [block for block in self.blocks if len(self.kept[block]) < self.count]
            random.shuffle(wanting)
            for block in wanting:
                wait_quiet(self.patience)
                with self.noise.counted():
                    self._round(block, attempt + 1)

    def _look_again(self, name: str) -> None:
        """wrk goes away with requests under way. Whoever comes next must get its own answer."""
        try:
            check(self.targets.found[name], LOADS["get-32"])
        except Failure as e:
            if KINDS[name].role != "peer":
                raise
            raise Void(f"{KINDS[name].title} answers wrongly right after a run, which then doesn't "
                       f"count: {str(e)[:100]}") from e

    def _round(self, block: Block, number: int) -> None:
        count = (f"round {number}/{self.count}" if number <= self.count else
                 f"repeat {number - self.count}/{self.attempts - self.count}")
        where = f"{count}, {block.title}"

        def run(target: str, load: str) -> Run:
            Progress.show(f"{where}: {KINDS[target].title}")
            result = run_wrk(self.targets.get(target), LOADS[load], self.seconds)
            self._look_again(target)
            if number <= self.count:
                Progress.spend(self.seconds + RUN_S)
            return result

        ends = [run(block.ceiling, block.ceiling_load).rate]
        result = Round(0)
        runs = block.runs()
        for target, load in random.sample(runs, len(runs)):
            self.targets.check_alive()
            if target not in self.targets.found:
                continue
            try:
                result.runs[target, load] = run(target, load)
            except Failure as e:
                if not isinstance(e, Void) and KINDS[target].role != "peer":
                    raise
                self.voids.append(str(e))
                Progress.line(f"  {e}")
        ends.append(run(block.ceiling, block.ceiling_load).rate)
        result.static = sum(ends) / 2
        drift = max(ends) / min(ends) - 1
        keep = drift <= self.drift
        if keep:
            self.kept[block].append(result)
        else:
            self.dropped[block] += 1
        note = f"static ceilings {drift * 100:.0f} % apart{'' if keep else ': dropped'}"
        Progress.line(f"{f'{where}:':44} {summed_up(block, result):40} {note}")


def summed_up(block: Block, result: Round) -> str:
    """What a line can tell of a round: larder's rates in thousands."""
    rates = [f"{KINDS[target].title.partition(', ')[2]}{f' {load}' if len(block.loads) > 1 else ''}"
             f" {run.rate / 1000:.1f}k"
             for (target, load), run in sorted(result.runs.items())
             if KINDS[target].role == "larder"]
    return f"larder {', '.join(rates)}" if rates else ""
