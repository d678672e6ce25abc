"""Errors of the engine, and what to do about them. Standard library only."""

import re
import signal

from .streams import shown

__all__ = ["PROTOCOL", "EngineCanceled", "EngineError", "check_fit", "end_hint", "end_text", "hint"]

#: Version of the JSON lines that this plugin understands.
PROTOCOL = 1
_HINTS = (
    (("MemoryError", "out of memory", "bad_alloc"), "The computer ran out of memory: close other "
     "programs, or choose a smaller block size among the advanced parameters."),
    (("No module named roadgis", "No module named 'roadgis'"), "roadgis is not installed in this "
     "Python: run 'Set up roadgis', or choose another interpreter in Settings > Options > "
     "Processing > Providers > roadgis."),
    (("No space left on device", "disk full"), "The disk is full: free some space, then "
     "start the same run again to resume."),
)  # fmt: skip


class EngineError(RuntimeError):
    """The engine could not do what was asked.

    Attributes
    ----------
    text : str
        What happened.
    hint : str
        What to do, or nothing.
    log : list of str
        The last lines that the engine printed.
    """

    def __init__(self, text, hint="", log=()):
        self.text = text
        self.hint = hint
        self.log = list(log)
        super().__init__(self.message())

    def message(self):
        """Return text, hint and log as one text."""
        parts = [self.text]
        if self.hint:
            parts.append(self.hint)
        if self.log:
            parts.append("Last lines of the engine:\n" + "\n".join(self.log))
        return "\n".join(parts)


class EngineCanceled(EngineError):
    """The user stopped the run."""


def check_fit(protocol, version, wanted=""):
    """Raise EngineError unless an engine fits this plugin.

    Parameters
    ----------
    protocol : int
        Protocol of the engine; must be `PROTOCOL`.
    version : str
        Version of the engine.
    wanted : str
        Version of the plugin's parameters. The engine's must begin with the same two numbers, as
        other versions may have other options; the third number does not matter.
    """
    newer = isinstance(protocol, int) and protocol > PROTOCOL
    if protocol != PROTOCOL:
        version, protocol = shown(version), shown(protocol)
        text = f"roadgis {version} speaks protocol {protocol}, this plugin protocol {PROTOCOL}."
    elif wanted and _series(version) != _series(wanted):
        newer = _series(version) > _series(wanted)
        made_for = ".".join(str(number) for number in _series(wanted))
        text = f"roadgis {shown(version)} was found, this plugin is made for roadgis {made_for}."
    else:
        return
    raise EngineError(
        text,
        "Update the plugin in the plugin manager."
        if newer
        else "Run 'Set up roadgis' with the action 'Update'.",
    )


def _series(version):
    found = re.match(r"(\d{1,9})\.(\d{1,9})", str(version))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def end_text(status):
    """Return how a process with this exit status ended."""
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = str(-status)
        return f"The engine was ended by the signal {name}."
    return f"The engine ended with exit status {status}."


def end_hint(status):
    """Return what to do after this exit status, or nothing."""
    if status in (-9, 137):
        return (
            "The system ends programs in this way when memory runs out: close other programs, or "
            "choose a smaller block size among the advanced parameters."
        )
    if status in (-11, -6, -4, -7, 139, 134, 3221225477):
        return "It crashed: run 'Check installation', and set roadgis up again if that fails too."
    return ""


def hint(text):
    """Return what to do about an error with this text, or nothing."""
    for words, hint in _HINTS:
        if any(word in text for word in words):
            return hint
    return ""
