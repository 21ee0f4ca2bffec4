"""When moderators changed their version: days since, in all and under each policy."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from errdetect.features.point_in_time import DAY, ColumnLevels, EventClock, EventTally, KeyGroups

__all__ = ["VersionChanges"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]


class VersionChanges:
    """When moderators' versions were first seen, in all and under each policy."""

    NAMES = ("history_moderator_version_days", "history_policy_change_days")

    def __init__(self, levels: ColumnLevels, at: Ints) -> None:
        self._version: KeyGroups | None = None
        self._policy: KeyGroups | None = None
        if "moderator_version" not in levels.values:
            return
        moderator = ["moderator"] if "moderator" in levels.values else []
        self._version = KeyGroups(levels, [*moderator, "moderator_version"])
        everyone = np.zeros(len(at), np.int64)
        whose = KeyGroups(levels, moderator).codes if moderator else everyone
        first, later = _first_seen(self._version.codes, whose, at, len(self._version))
        # A first version may be older than the log.
        self._since = np.append(np.where(later, first, np.iinfo(np.int64).max), first[:0])
        if "policy_id" not in levels.values:
            return
        self._policy = KeyGroups(levels, ["policy_id"])
        under = KeyGroups(levels, ["policy_id", *moderator, "moderator_version"])
        beside = KeyGroups(levels, ["policy_id", *moderator]).codes
        first, later = _first_seen(under.codes, beside, at, len(under))
        policy = np.zeros(len(under), np.int64)
        known = under.codes >= 0
        policy[under.codes[known]] = self._policy.codes[known]
        self._at = first[later]
        self._clock = EventClock(self._at)
        self._tally = EventTally(
            policy[later],
            self._clock.ticks(self._at),
            np.empty((len(self._at), 0), np.int64),
            len(self._clock),
        )

    def days(self, codes: Mapping[str, Codes], at: Ints) -> dict[str, Floats]:
        """Return days since the changes, shape (n,) each."""
        out = {}
        if self._version is not None:
            group = self._version.of(codes)
            since = np.append(self._since, np.iinfo(np.int64).max)[group]
            known = (group >= 0) & (since <= at)
            out[self.NAMES[0]] = _days_since(at, since, known)
        if self._policy is not None:
            group = self._policy.of(codes)
            row = self._tally.latest_before(group, self._clock.ticks(at + 1))
            since = np.append(self._at, 0)[row]
            out[self.NAMES[1]] = _days_since(at, since, row >= 0)
        return out


def _first_seen(code: Ints, whose: Ints, at: Ints, n: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Return when each of n codes was first seen, and whether its owner had another before."""
    known = np.flatnonzero(code >= 0)
    first = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(first, code[known], at[known])
    owner = np.zeros(n, np.int64)
    owner[code[known]] = whose[known]
    earliest = np.full(int(owner.max(initial=0)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(earliest, owner, first)
    return first, first > earliest[owner]


def _days_since(at: Ints, since: Ints, known: npt.NDArray[np.bool_]) -> Floats:
    days = np.full(len(at), np.nan)
    days[known] = (at[known] - since[known]) / DAY
    return days
