"""What larder promises about faults, once: each row has an id that scenarios name."""

from __future__ import annotations

PROMISES = {
    "T1": "a dead worker is replaced; the master and everybody else go on",
    "T2": "workers that die at once are retried with back-off, and never a storm",
    "T3": "a reload loses nothing; a faulty configuration changes nothing",
    "T4": "a stop is graceful, then firm, and leaves nothing behind",
    "T5": "a stuck worker is replaced, and hinders nobody else",
    "T6": "workers can be recycled under load",
    "T7": "statistics and health are truthful",
    "T8": "overload is refused, not collapsed under",
    "T9": "slow or silent FastCGI peers cannot starve the pool",
    "T10": "Redis down: a fast, honest error, and a quick recovery",
    "T11": "Redis hung: every reply in time, none for another request",
    "T12": "never a wrong value for a key",
    "T13": "an acknowledged write survives our failures",
    "T14": "Redis's error replies are understood",
    "T15": "a full cache refuses politely",
    "T19": "shared memory survives a death in the middle of a write",
    "T20": "a corrupt segment cannot crash the pool",
    "T25": "memory that runs out costs one worker at most, never a wrong answer",
    "T26": "signals and EINTR disturb nothing",
    "T27": "the wall clock may jump",
    "T28": "larder starts without Redis",
    "T29": "it runs with the least rights",
}


def order(promise: str) -> tuple[int, str]:
    """Ids in the order of their numbers."""
    return int(promise[1:]), promise
