"""The engine, run for Processing: progress, log and errors go where QGIS shows them."""

import time

from qgis.core import QgsProcessingException

from . import description, environment, runner, settings
from .progress import Pace
from .text import tr

__all__ = ["call", "canceled", "failure", "missing", "python"]

#: Seconds between two texts: the dialog keeps each of them.
_EVERY_S = 2.0


def python():
    """Return the interpreter that holds the engine, and where it was named."""
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
        Of the engine.
    arguments : list of str
        Its arguments.
    feedback : QgsProcessingFeedback
        Told the progress and the log, and asked whether to stop.

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
    """Return what Processing is told when the user has stopped a run."""
    return QgsProcessingException(tr(error.text))


def failure(error):
    """Return what Processing is told of an EngineError."""
    return QgsProcessingException(error.message())


def progress(feedback):
    """Return a listener that tells progress, with rate and time left."""
    pace = Pace()
    shown = {"words": "", "at": -_EVERY_S}

    def tell(percent, text):
        feedback.setProgress(percent)
        line = pace(percent, text)
        words = text.split(":")[0]
        now = time.monotonic()
        if words != shown["words"] or now - shown["at"] >= _EVERY_S:
            shown.update(words=words, at=now)
            feedback.setProgressText(line)

    return tell


def log(feedback, command=""):
    """Return a listener that puts the log of a command, if it is one, into the log panel."""

    def tell(level, text):
        text = description.worded(command, text) if command else text
        if level == "warning":
            feedback.pushWarning(text)
        elif level == "error":
            feedback.reportError(text, False)
        elif level == "debug":
            feedback.pushDebugInfo(text)
        else:
            feedback.pushInfo(text)

    return tell


def _quoted(argument):
    return f'"{argument}"' if " " in argument or not argument else argument
