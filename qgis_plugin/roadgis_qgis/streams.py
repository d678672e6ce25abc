"""Read the output of the engine line by line, with bounded memory.

Standard library only and no QGIS import.
"""

import queue
import threading

__all__ = ["LINE_BYTES", "Events", "percentage", "shown"]

#: Longest line of the engine that is kept, bytes.
LINE_BYTES = 1 << 22
#: Longest text that is shown, letters.
TEXT_LETTERS = 10_000
#: Lines that wait to be shown; with more, the engine waits.
WAITING_LINES = 1000
#: Seconds between two checks whether the user has stopped the run.
POLL_S = 0.1


class Events:
    """The lines of an engine's streams, in a queue of bounded size."""

    def __init__(self):
        self._queue = queue.Queue(WAITING_LINES)
        self._closed = threading.Event()

    def read(self, stream, name):
        """Read the lines of a stream in a thread; its end is None."""
        threading.Thread(target=self._read, args=(stream, name), daemon=True).start()

    def get(self):
        """Return (name of the stream, line); raises queue.Empty after `POLL_S`."""
        return self._queue.get(timeout=POLL_S)

    def close(self):
        """Keep no more lines; they are still read, so that the engine does not wait."""
        self._closed.set()

    def _read(self, stream, name):
        try:
            for line in iter(lambda: stream.readline(LINE_BYTES), b""):
                part = line
                while part and not part.endswith(b"\n"):
                    part = stream.readline(LINE_BYTES)
                self._put(name, line.decode("utf-8", "replace").rstrip("\r\n"))
        except (OSError, ValueError):
            pass  # closed: the run is over
        try:
            stream.close()
        except OSError:
            pass
        self._put(name, None)

    def _put(self, name, line):
        while not self._closed.is_set():
            try:
                self._queue.put((name, line), timeout=POLL_S)
                return
            except queue.Full:
                continue


def shown(value):
    """Return a value of the engine as text that Qt can show."""
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= TEXT_LETTERS else text[:TEXT_LETTERS] + " ..."


def percentage(value, before):
    """Return a percentage between 0 and 100, or the previous one if it is invalid."""
    try:
        percent = float(value)
    except (TypeError, ValueError, OverflowError):
        return before
    return before if percent != percent else min(100.0, max(0.0, percent))
