"""Clips -> parts that share no person: nobody who is tested on was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stream.errors import DataError, UsageError

from .manifest import Clip, check_both
from .metrics import groups

SHARES: Mapping[str, float] = {"train": 0.7, "valid": 0.2, "test": 0.1}


@dataclass(frozen=True, slots=True)
class Split:
    """The parts by name, and the clips that belong to none because they would join two."""

    parts: dict[str, list[Clip]]
    crossing: tuple[Clip, ...] = ()


def split(
    clips: Sequence[Clip], shares: Mapping[str, float] = SHARES, seed: int = 0, drop_crossing: bool = False
) -> Split:
    """Deal people out to parts of about these shares of the clips of each class; seeded and repeatable.

    A clip belongs to all of its identities and paired clips stay together, so whoever shares a video, even over
    several steps, is in one part. Where such chains join nearly everybody (a data set that swaps everyone with
    everyone), ``drop_crossing`` deals out single people and leaves out the fakes whose people came apart.

    Raises:
        UsageError: shares that are not positive. DataError: a part would lack a class.
    """
    if not shares or min(shares.values()) <= 0:
        raise UsageError("the shares of a split must be positive, as in 70/20/10")
    total = sum(shares.values())
    wanted = {name: share / total for name, share in shares.items()}
    # Without the fakes nothing joins people but a video they share.
    chained = [replace(c, identities=c.identities[:1], pair="") if drop_crossing and c.fake else c for c in clips]
    number = groups(chained)
    members = [[clips[int(i)] for i in np.flatnonzero(number == g)] for g in range(number.max(initial=-1) + 1)]
    counts = {label: max(1, sum(c.label == label for c in clips)) for label in ("real", "fake")}
    parts: dict[str, list[Clip]] = {name: [] for name in wanted}
    filled = {name: dict.fromkeys(counts, 0.0) for name in wanted}
    rng = np.random.default_rng(seed)
    shuffled = [members[i] for i in rng.permutation(len(members))]
    # The largest first, each to the part that is furthest from what it should hold.
    for group in sorted(shuffled, key=len, reverse=True):
        load = {label: sum(c.label == label for c in group) / counts[label] for label in counts}

        def need(name: str, load: dict[str, float] = load) -> float:
            return float(sum(min(load[k], wanted[name] - filled[name][k]) for k in load) / wanted[name] ** 0.5)

        chosen = max(wanted, key=need)
        parts[chosen] += group
        for label, share in load.items():
            filled[chosen][label] += share
    crossing: list[Clip] = []
    if drop_crossing:
        home = _homes(parts)
        for name, part in parts.items():
            crossing += [c for c in part if any(home[key] != name for key in _keys(c))]
            parts[name] = [c for c in part if all(home[key] == name for key in _keys(c))]
    for name, part in parts.items():
        check_both(part, f"the part '{name}' of the split")
    order = {clip.name: i for i, clip in enumerate(clips)}
    return Split({name: sorted(part, key=lambda c: order[c.name]) for name, part in parts.items()}, tuple(crossing))


def _keys(clip: Clip) -> set[str]:
    """Whom and which video a clip shows."""
    return {*(clip.identities or (clip.name,)), *([f"pair {clip.pair}"] if clip.pair else [])}


def _homes(parts: Mapping[str, Sequence[Clip]]) -> dict[str, str]:
    """The one part that each person and each video belongs to: where its real clips are, else its first fakes."""
    home: dict[str, str] = {}
    # Whom only fakes show, and never first, nobody has dealt out: the first part that shows them keeps them.
    real = [(name, _keys(c)) for name, part in parts.items() for c in part if not c.fake]
    first = [(name, set(c.identities[:1])) for name, part in parts.items() for c in part if c.fake]
    rest = [(name, _keys(c)) for name, part in parts.items() for c in part if c.fake]
    for name, keys in (*real, *first, *rest):
        for key in keys:
            home.setdefault(key, name)
    return home


def shared_people(one: Sequence[Clip], other: Sequence[Clip]) -> set[str]:
    """Identities and pairs that two parts have in common: what a split by identity must not leave."""
    there = [_keys(c) for c in (*one, *other)]
    return set().union(*there[: len(one)]) & set().union(*there[len(one) :])


def refuse_shared(one: Sequence[Clip], other: Sequence[Clip], what: str) -> None:
    """Raise DataError where two parts share a person or a pair."""
    if common := sorted(shared_people(one, other)):
        more = f" and {len(common) - 1} more" if len(common) > 1 else ""
        raise DataError(f"{what} share {common[0]}{more}: split by identity with 'flowtell train split'")
