"""Base of all algorithms: names, help, and parameters from the engine's options."""

import html
import shutil
import sys
import tempfile

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingException,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProcessingUtils,
)
from qgis.PyQt.QtCore import QVariant
from qgis.PyQt.QtGui import QIcon

from .. import description, engine, icons, inputs, style
from ..text import tr

__all__ = ["EngineAlgorithm", "RoadgisAlgorithm"]

HELP_URL = "https://github.com/roadgis/roadgis/blob/main/docs/qgis.md"


def _given(value):
    """Return whether a parameter has a value."""
    if value is None or value == "":
        return False
    return not (isinstance(value, QVariant) and value.isNull())


class RoadgisAlgorithm(QgsProcessingAlgorithm):
    """Names and help of an algorithm.

    Attributes
    ----------
    ID, TITLE, GROUP_ID, GROUP, ICON, TAGS, SUMMARY : str
        Texts of the algorithm; translated on use.
    """

    ID = TITLE = GROUP_ID = GROUP = ICON = TAGS = SUMMARY = ""

    def createInstance(self):  # noqa: N802
        """Return a new instance for a run."""
        return type(self)()

    def name(self):
        """Return the id after the colon."""
        return self.ID

    def displayName(self):  # noqa: N802
        """Return the name in the toolbox."""
        return tr(self.TITLE)

    def group(self):
        """Return the group's name."""
        return tr(self.GROUP)

    def groupId(self):  # noqa: N802
        """Return the group's id."""
        return self.GROUP_ID

    def tags(self):
        """Return words for the search of the toolbox."""
        return tr(self.TAGS).split(",")

    def icon(self):
        """Return the icon."""
        return QIcon(icons.path(self.ICON))

    def svgIconPath(self):  # noqa: N802
        """Return the icon's file."""
        return icons.path(self.ICON)

    def helpUrl(self):  # noqa: N802
        """Return the page of the documentation."""
        return HELP_URL

    def shortDescription(self):  # noqa: N802
        """Return one sentence, the toolbox's tooltip."""
        return tr(self.SUMMARY).split("\n")[0]

    def shortHelpString(self):  # noqa: N802
        """Return the help in the dialog: the summary, then each parameter."""
        parts = [f"<p>{html.escape(part)}</p>" for part in tr(self.SUMMARY).split("\n")]
        for heading, advanced in ((tr("Parameters"), False), (tr("Advanced"), True)):
            lines = [
                self._help_line(parameter)
                for parameter in self.parameterDefinitions()
                if bool(parameter.flags() & _ADVANCED) == advanced
            ]
            if lines:
                parts.append(f"<h3>{heading}</h3>" + "".join(lines))
        return "".join(parts)

    @staticmethod
    def _help_line(parameter):
        label, text = html.escape(parameter.description()), html.escape(parameter.help())
        return f"<p><b>{label}</b><br>{text}</p>"

    def add(self, parameter, text="", advanced=False):
        """Add a parameter with its help."""
        if text:
            parameter.setHelp(text)
        if advanced:
            parameter.setFlags(parameter.flags() | _ADVANCED)
        self.addParameter(parameter)


_ADVANCED = QgsProcessingParameterDefinition.Flag.FlagAdvanced


class EngineAlgorithm(RoadgisAlgorithm):
    """An algorithm that is a command of the engine.

    A subclass adds its parameters in ``initAlgorithm``, turns them into arguments in ``gather``,
    in QGIS's main thread, and may return more results in ``finish``.

    Attributes
    ----------
    COMMAND : str
        Command of the engine.
    """

    COMMAND = ""

    def canExecute(self):  # noqa: N802
        """Return whether the engine is installed, and what to do if not; starts nothing."""
        reason = engine.missing()
        return not reason, reason

    def add_options(self, leave_out=()):
        """Add the engine's options as parameters, except outputs."""
        for option in self._options():
            if option.name in leave_out:
                continue
            text = option.help
            if option.default is None and option.default_text:
                text += " " + tr("Default: {}.").format(option.default_text)
            self.add(_parameter(option), text, option.advanced)

    def _options(self):
        left_out = ("path_out", "count")
        return [o for o in description.options(self.COMMAND) if o.kind not in left_out]

    def values(self, parameters, context):
        """Return the values of the engine's options by their names."""
        found = {}
        for option in self._options():
            definition = self.parameterDefinition(option.parameter)
            if definition is None or definition.type() not in _READ:
                continue
            raw = parameters.get(option.parameter, definition.defaultValue())
            if _given(raw):
                found[option.name] = _READ[definition.type()](self, option, parameters, context)
        return found

    def prepareAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Gather the arguments: layers belong to QGIS's main thread."""
        self.folder = tempfile.mkdtemp(prefix="roadgis", dir=QgsProcessingUtils.tempFolder())
        self.results = {}
        self.problem = None
        try:
            self.arguments = [
                *self.gather(parameters, context, feedback),
                *description.arguments(self.COMMAND, self.values(parameters, context)),
                *description.overwriting(self.COMMAND),
            ]
        except QgsProcessingException as error:
            # If raised here, QGIS would replace the message.
            self.problem = error
        self.to_load = context.layersToLoadOnCompletion()
        return True

    def gather(self, parameters, context, feedback):
        """Return the arguments other than plain options; results go into `self.results`."""
        raise NotImplementedError

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run the engine."""
        try:
            if self.problem is not None:
                raise self.problem
            # In a thread this is another context, whose layers replace those of the first one.
            context.setLayersToLoadOnCompletion(
                {**context.layersToLoadOnCompletion(), **self.to_load}
            )
            told = self.call(feedback)
        finally:
            self._clear()
        return {**self.results, **self.finish(told, context, feedback)}

    def call(self, feedback):
        """Run the command and return the result of the engine."""
        return engine.call(self.COMMAND, self.arguments, feedback)

    def finish(self, told, context, feedback):
        """Return more results, from the result of the engine."""
        return {}

    def _clear(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def output(self, parameters, name, context, suffixes):
        """Return the file of a destination, or an empty text where it is skipped.

        Raises
        ------
        QgsProcessingException
            If the engine cannot write there.
        """
        path = self.parameterAsOutputLayer(parameters, name, context)
        if not path:
            return ""
        # Unchanged: QGIS identifies the layer to load by it.
        self.results[name] = path
        if not path.lower().endswith(tuple(suffixes)):
            raise QgsProcessingException(
                tr("{path} cannot be written by roadgis: choose a file that ends in {known}.")
                .format(path=path, known=", ".join(suffixes))
            )
        return path

    def scene(self, parameters, context, feedback, flag="", name="INPUT"):
        """Return the arguments for a raster layer, with the CRS to assume."""
        layer = self.parameterAsRasterLayer(parameters, name, context)
        reason = inputs.rejection(layer)
        if reason:
            raise QgsProcessingException(reason)
        path, assumed = inputs.raster_file(layer, self.folder, feedback)
        made = [f"{flag}={path}" if flag else path]
        return made + ([f"--assume-crs={assumed}"] if assumed else [])

    def area(self, parameters, context, feedback):
        """Return the arguments for the parameters EXTENT and AOI."""
        path = inputs.area_file(self, parameters, "AOI", context, self.folder, feedback)
        extent = self.parameterDefinition("EXTENT") and _given(parameters.get("EXTENT"))
        if extent:
            if path:
                raise QgsProcessingException(tr("Choose an extent or an area, not both."))
            rectangle = self.parameterAsExtent(parameters, "EXTENT", context)
            crs = self.parameterAsExtentCrs(parameters, "EXTENT", context)
            if rectangle.isEmpty():
                raise QgsProcessingException(tr("The extent is empty."))
            if not crs.isValid():
                layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
                crs = layer.crs()
            path = inputs.extent_file(rectangle, crs, self.folder)
        return [f"--aoi={path}"] if path else []

    def add_style(self):
        """Add the choice of a style."""
        self.add(
            QgsProcessingParameterEnum(
                "STYLE",
                tr("Style"),
                [tr("By confidence"), tr("By width"), tr("Default of QGIS")],
                defaultValue=style.BY_CONFIDENCE,
            ),
            tr("Style of the loaded roads. Bridged gaps are dashed."),
        )

    def set_style(self, parameters, path, context):
        """Style the roads when QGIS loads them."""
        chosen = self.parameterAsEnum(parameters, "STYLE", context)
        style.attach(context, path, style.Finish(chosen))


def _parameter(option):
    name, label = option.parameter, tr(option.label)
    if option.kind == "flag":
        return QgsProcessingParameterBoolean(name, label, defaultValue=bool(option.default))
    if option.kind == "choice":
        default = option.choices.index(option.default) if option.default else None
        return QgsProcessingParameterEnum(
            name, label, option.choices, option.multiple, default, optional=default is None
        )
    if option.kind == "number":
        # Nodata values may be as large as the largest float.
        limit = 1e9 if option.integer else sys.float_info.max
        return QgsProcessingParameterNumber(
            name,
            label,
            QgsProcessingParameterNumber.Type.Integer
            if option.integer
            else QgsProcessingParameterNumber.Type.Double,
            option.default,
            optional=option.default is None,
            minValue=-limit if option.min is None else option.min,
            maxValue=limit if option.max is None else option.max,
        )
    if option.kind == "path_in":
        # Not *.*, the default of QGIS, which rejects names without a dot, such as folders.
        filters = {"model": tr("Models (*.onnx *.keras);;All files (*)")}
        return QgsProcessingParameterFile(
            name, label, optional=True, fileFilter=filters.get(option.content, tr("All files (*)"))
        )
    return QgsProcessingParameterString(name, label, option.default, optional=True)


def _choice(algorithm, option, parameters, context):
    if option.multiple:
        numbers = algorithm.parameterAsEnums(parameters, option.parameter, context)
        return [option.choices[number] for number in numbers]
    return option.choices[algorithm.parameterAsEnum(parameters, option.parameter, context)]


def _number(algorithm, option, parameters, context):
    read = algorithm.parameterAsInt if option.integer else algorithm.parameterAsDouble
    return read(parameters, option.parameter, context)


#: Readers of values by type of parameter.
_READ = {
    "boolean": lambda a, o, p, c: a.parameterAsBool(p, o.parameter, c),
    "enum": _choice,
    "number": _number,
    "file": lambda a, o, p, c: a.parameterAsFile(p, o.parameter, c),
    "string": lambda a, o, p, c: a.parameterAsString(p, o.parameter, c),
}
