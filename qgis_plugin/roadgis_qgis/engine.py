"""Run the engine for Processing: QGIS shows progress, log and errors."""

import time

from qgis.core import QgsProcessingException

from . import description, environment, runner, settings
from .progress import Pace
from .text import tr

__all__ = ["call", "canceled", "failure", "missing", "python"]

#: Seconds between two texts: the dialog keeps each of them.
_EVERY_S = 2.0


def python():
    """Return the interpreter with the engine, and where it was named."""
    return environment.find_python(settings.interpreter())


def missing():
    """Return why the engine cannot be run, or an empty text; starts nothing."""
    try:
        python()
    except runner.EngineError as error:
        return error.message()
    return ""


def call(command, arguments, feedback):
    """Run a command of the engine to its end.

    Parameters
    ----------
    command : str
        Command of the engine.
    arguments : list of str
        Its arguments.
    feedback : QgsProcessingFeedback
        Receives progress and log, and can stop the run.

    Returns
    -------
    dict
        The engine's result.

    Raises
    ------
    QgsProcessingException
        With the engine's message, a hint and the last lines of its log.
    """
    try:
        interpreter, _ = python()
        feedback.pushCommandInfo(" ".join(["roadgis", command, *map(_quoted, arguments)]))
        return runner.run(
            interpreter,
            [*command.split(), *arguments],
            wanted=description.VERSION,
            on_progress=progress(feedback),
            on_log=log(feedback, command),
            is_canceled=feedback.isCanceled,
        )
    except runner.EngineCanceled as error:
        raise canceled(error) from None
    except runner.EngineError as error:
        error.text = description.worded(command, error.text)
        error.hint = description.worded_hint(command, error.hint)
        raise failure(error) from None


def canceled(error):
    """Return the exception for a run that the user has stopped."""
    return QgsProcessingException(tr(error.text))


def failure(error):
    """Return the exception for an EngineError."""
    return QgsProcessingException(error.message())


def progress(feedback):
    """Return a listener that shows progress, rate and remaining time."""
    pace = Pace()
    shown = {"words": "", "at": -_EVERY_S}

    def show(percent, text):
        feedback.setProgress(percent)
        line = pace(percent, text)
        words = text.split(":")[0]
        now = time.monotonic()
        if words != shown["words"] or now - shown["at"] >= _EVERY_S:
            shown.update(words=words, at=now)
            feedback.setProgressText(line)

    return show


def log(feedback, command=""):
    """Return a listener that writes the log of a command into the log panel."""

    def show(level, text):
        text = description.worded(command, text) if command else text
        if level == "warning":
            feedback.pushWarning(text)
        elif level == "error":
            feedback.reportError(text, False)
        elif level == "debug":
            feedback.pushDebugInfo(text)
        else:
            feedback.pushInfo(text)

    return show


def _quoted(argument):
    return f'"{argument}"' if " " in argument or not argument else argument
