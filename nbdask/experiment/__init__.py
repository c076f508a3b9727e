"""What is simulated: frozen dataclasses in SI units."""

from nbdask.experiment.background import Background, Material
from nbdask.experiment.beam import Beam
from nbdask.experiment.crystal import Crystal
from nbdask.experiment.detector import Detector
from nbdask.experiment.diffuse import Diffuse
from nbdask.experiment.experiment import Experiment
from nbdask.experiment.frame import LabFrame
from nbdask.experiment.lattice import Lattice
from nbdask.experiment.mosaic import Mosaic
from nbdask.experiment.panel import DetectorPanel
from nbdask.experiment.sampling import Sampling
from nbdask.experiment.scan import Scan
from nbdask.experiment.sources import SourcePoint, Sources, Spread
from nbdask.experiment.spectrum import Spectrum
from nbdask.experiment.structure import Recipe, StructureFactors

__all__ = [
    "Background", "Beam", "Crystal", "Detector", "DetectorPanel", "Diffuse", "Experiment",
    "LabFrame", "Lattice", "Material", "Mosaic", "Recipe", "Sampling", "Scan", "SourcePoint",
    "Sources", "Spectrum", "Spread", "StructureFactors",
]  # fmt: skip
