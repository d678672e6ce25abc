"""Rate and remaining time of a run.

Standard library only and no QGIS import.
"""

import re
import time

__all__ = ["Pace", "duration"]

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) of (\d+(?:\.\d+)?) (\w+)\s*$")
#: No estimate before this time, seconds.
_FIRST_S = 1.5


class Pace:
    """Adds rate and remaining time to the engine's progress texts.

    Parameters
    ----------
    clock : callable, optional
        Monotonic clock, seconds.
    """

    def __init__(self, clock=time.monotonic):
        self._clock = clock
        self._start = None
        self._amount = None

    def __call__(self, percent, text):
        """Return the text to show at this percentage."""
        now = self._clock()
        if self._start is None:
            # Work of an interrupted run does not count.
            self._start = (now, percent)
        parts = [text]
        rate = self._rate(now, text)
        if rate:
            parts.append(rate)
        seconds = now - self._start[0]
        done = percent - self._start[1]
        if seconds >= _FIRST_S and done > 0 and percent < 100:
            left = seconds * (100 - percent) / done
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)

    def _rate(self, now, text):
        found = _AMOUNT.search(text)
        if not found:
            self._amount = None
            return ""
        done, unit = float(found[1]), found[3]
        if self._amount is None or self._amount[2] != unit:
            self._amount = (now, done, unit)
        seconds = now - self._amount[0]
        if seconds < _FIRST_S or done <= self._amount[1]:
            return ""
        return f"{(done - self._amount[1]) / seconds:.2g} {unit}/s"


def duration(seconds):
    """Return a duration for people, such as ``3 min``."""
    if seconds < 55:
        return f"{max(5, 5 * round(seconds / 5))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
