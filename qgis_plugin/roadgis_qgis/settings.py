"""The plugin's options, in Settings > Options > Processing > Providers > roadgis."""

from processing.core.ProcessingConfig import ProcessingConfig, Setting

from .text import tr

__all__ = ["INTERPRETER", "add", "interpreter", "take_away"]

INTERPRETER = "ROADGIS_INTERPRETER"


def add(group, icon):
    """Add the options to QGIS's own."""
    ProcessingConfig.settingIcons[group] = icon
    ProcessingConfig.addSetting(
        Setting(
            group,
            INTERPRETER,
            tr("Python that holds roadgis (nothing: the one that 'Set up roadgis' makes)"),
            "",
            valuetype=Setting.FILE,
        )
    )
    ProcessingConfig.readSettings()


def take_away():
    """Take the options back."""
    ProcessingConfig.removeSetting(INTERPRETER)


def interpreter():
    """Return the interpreter that the user chose, or an empty text."""
    return str(ProcessingConfig.getSetting(INTERPRETER) or "").strip()
