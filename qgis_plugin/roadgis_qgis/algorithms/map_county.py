"""``roadgis:mapcounty``."""

import os
import shutil

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingMultiStepFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterVectorDestination,
)

from .. import description, engine, style
from ..text import tr
from .base import EngineAlgorithm

__all__ = ["MapCounty"]


class MapCounty(EngineAlgorithm):
    """Many sheets to one road network, resumable."""

    COMMAND = "batch plan"
    ID = "mapcounty"
    TITLE = "Batch map a county"
    GROUP_ID = "extraction"
    GROUP = "Extraction"
    ICON = "county"
    TAGS = "road,county,batch,sheets,tiles,mosaic,distributed,large"
    SUMMARY = (
        "Extracts one road network from imagery of many sheets, unit by unit.\n"
        "Sheets that cannot be read are skipped and listed. An interrupted run resumes when it is "
        "started again with the same county folder, and after sheets were added or replaced only "
        "the units that show them are computed again.\n"
        "The layer 'Units' shows which units are done and which failed, and why."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Add the parameters."""
        self.add(
            QgsProcessingParameterFile(
                "INPUT",
                tr("Folder of sheets"),
                QgsProcessingParameterFile.Behavior.Folder,
                optional=True,
            ),
            tr("All rasters in it are used. 'Search folders inside folders' includes subfolders."),
        )
        self.add(
            QgsProcessingParameterFile(
                "INDEX",
                tr("Tile index, table or STAC file"),
                optional=True,
                fileFilter=tr("All files (*)"),
            ),
            tr("Instead of a folder: a file that lists the sheets, such as one of gdaltindex."),
        )
        self.add(
            QgsProcessingParameterFeatureSource(
                "AOI", tr("Area"), [QgsProcessing.SourceType.TypeVectorPolygon], optional=True
            ),
            tr("Polygons in any CRS; only roads inside are mapped."),
        )
        self.add(
            QgsProcessingParameterNumber(
                "WORKERS",
                tr("Number of processes"),
                QgsProcessingParameterNumber.Type.Integer,
                defaultValue=1,
                minValue=1,
            ),
            tr("They share the cores. More than one needs the extra 'batch' of roadgis."),
        )
        self.add_options()
        self.add_style()
        self.add(
            QgsProcessingParameterFolderDestination("COUNTY", tr("County folder")),
            tr("Results of units; keep it to resume and to update. A new, empty or county folder."),
        )
        self.add(
            QgsProcessingParameterVectorDestination(
                "OUTPUT", tr("Roads"), QgsProcessing.SourceType.TypeVectorLine
            ),
            tr("The centrelines. A GeoPackage also holds nodes and missing units as layers."),
        )
        self.addOutput(QgsProcessingOutputVectorLayer("UNITS", tr("Units")))
        self.addOutput(QgsProcessingOutputNumber("COUNT", tr("Number of roads")))
        self.addOutput(QgsProcessingOutputNumber("LENGTH", tr("Length of the roads, metres")))
        self.addOutput(QgsProcessingOutputNumber("FAILED", tr("Number of failed units")))

    def gather(self, parameters, context, feedback):
        """Return sheets, county folder and area."""
        named = [self.parameterAsFile(parameters, name, context) for name in ("INPUT", "INDEX")]
        sources = [path for path in named if path]
        if len(sources) != 1:
            raise QgsProcessingException(tr("Choose either a folder of sheets or a tile index."))
        self.county = os.path.abspath(self.parameterAsString(parameters, "COUNTY", context))
        self.workers = self.parameterAsInt(parameters, "WORKERS", context)
        self.roads = self.output(parameters, "OUTPUT", context, description.ENGINE["suffixes"])
        self.set_style(parameters, self.roads, context)
        self.results["COUNTY"] = self.county
        self.results["UNITS"] = os.path.join(self.county, "units.gpkg")
        self._load_units(context)
        return [*sources, f"--output={self.county}", *self._area(parameters, context, feedback)]

    def call(self, feedback):
        """Plan, run and merge."""
        steps = QgsProcessingMultiStepFeedback(3, feedback)
        engine.call(self.COMMAND, self.arguments, steps)
        steps.setCurrentStep(1)
        ran = engine.call("batch run", [self.county, f"--workers={self.workers}"], steps)
        steps.setCurrentStep(2)
        output = f"--output={os.path.abspath(self.roads)}"
        merged = engine.call("batch merge", [self.county, output, "--overwrite"], steps)
        return {**merged, "failed": ran["units"]["failed"]}

    def finish(self, told, context, feedback):
        """Return the counts."""
        return {
            "COUNT": told.get("edges"),
            "LENGTH": told.get("length_m"),
            "FAILED": told.get("failed"),
        }

    def _area(self, parameters, context, feedback):
        """Return the area, in a file that later runs of the county find."""
        made = self.area(parameters, context, feedback)
        if not made or os.path.dirname(made[0].partition("=")[2]) != self.folder:
            return made
        kept = f"{self.county}-area.gpkg"
        shutil.copyfile(made[0].partition("=")[2], kept)
        return [f"--aoi={kept}"]

    def _load_units(self, context):
        """Have the table of units loaded with the roads, with the style in its file."""
        if context.willLoadLayerOnCompletion(self.roads):
            units = self.results["UNITS"]
            project = context.layerToLoadOnCompletionDetails(self.roads).project
            details = QgsProcessingContext.LayerDetails(tr("Units"), project, "UNITS")
            context.addLayerToLoadOnCompletion(units, details)
            style.attach(context, units, style.Finish(name=tr("Units")))
