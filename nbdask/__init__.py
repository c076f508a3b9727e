"""X-ray diffraction images of nanocrystals on pixel detectors of any size.

The public names are loaded when first used, so that ``import nbdask`` costs nothing.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nbdask import units
from nbdask.version import __version__

if TYPE_CHECKING:
    from nbdask.derive.assembly import assemble
    from nbdask.derive.noise import noise
    from nbdask.errors import NbdaskError
    from nbdask.experiment import (
        Background,
        Beam,
        Crystal,
        Detector,
        DetectorPanel,
        Diffuse,
        Experiment,
        LabFrame,
        Material,
        Sampling,
        Scan,
        SourcePoint,
        Sources,
        Spread,
        StructureFactors,
    )
    from nbdask.flags import from_args, from_toml, to_args, to_toml
    from nbdask.gradients.adjoint import adjoint
    from nbdask.gradients.fit import fit, fit_joint
    from nbdask.gradients.found import FitResult, JointResult
    from nbdask.gradients.lazy import gradient
    from nbdask.gradients.normal import NormalEquations, normal_equations
    from nbdask.gradients.parameters import Parameter
    from nbdask.gradients.search import Shot
    from nbdask.lazy import image, series
    from nbdask.panels.read import read_geometry
    from nbdask.parity.compare import compare
    from nbdask.result import SimulationResult
    from nbdask.run import simulate
    from nbdask.shot_data import read_shots
    from nbdask.shots.series import Series
    from nbdask.store.open import open_store as open
    from nbdask.truth.stored import ground_truth
    from nbdask.truth.tables import Truth
    from nbdask.verification import repair, verify
    from nbdask.view.picture import preview

_HOMES = {
    "compare": ("nbdask.parity.compare", "compare"),
    "noise": ("nbdask.derive.noise", "noise"),
    "preview": ("nbdask.view.picture", "preview"),
    "NbdaskError": ("nbdask.errors", "NbdaskError"),
    "adjoint": ("nbdask.gradients.adjoint", "adjoint"),
    "fit": ("nbdask.gradients.fit", "fit"),
    "fit_joint": ("nbdask.gradients.fit", "fit_joint"),
    "FitResult": ("nbdask.gradients.found", "FitResult"),
    "gradient": ("nbdask.gradients.lazy", "gradient"),
    "assemble": ("nbdask.derive.assembly", "assemble"),
    "NormalEquations": ("nbdask.gradients.normal", "NormalEquations"),
    "normal_equations": ("nbdask.gradients.normal", "normal_equations"),
    "image": ("nbdask.lazy", "image"),
    "series": ("nbdask.lazy", "series"),
    "JointResult": ("nbdask.gradients.found", "JointResult"),
    "Parameter": ("nbdask.gradients.parameters", "Parameter"),
    "simulate": ("nbdask.run", "simulate"),
    "SimulationResult": ("nbdask.result", "SimulationResult"),
    "Shot": ("nbdask.gradients.search", "Shot"),
    "read_geometry": ("nbdask.panels.read", "read_geometry"),
    "read_shots": ("nbdask.shot_data", "read_shots"),
    "open": ("nbdask.store.open", "open_store"),
    "ground_truth": ("nbdask.truth.stored", "ground_truth"),
    "Truth": ("nbdask.truth.tables", "Truth"),
    "Series": ("nbdask.shots.series", "Series"),
    "repair": ("nbdask.verification", "repair"),
    "verify": ("nbdask.verification", "verify"),
    **{name: ("nbdask.flags", name) for name in ("from_args", "from_toml", "to_args", "to_toml")},
    **{
        name: ("nbdask.experiment", name)
        for name in (
            "Background", "Beam", "Crystal", "Detector", "DetectorPanel", "Diffuse", "Experiment",
            "LabFrame",
            "Material",
            "Sampling", "Scan", "SourcePoint", "Sources", "Spread", "StructureFactors",
        )
    },
}  # fmt: skip

__all__ = [
    "Background", "Beam", "Crystal", "Detector", "DetectorPanel", "Diffuse", "Experiment",
    "FitResult", "JointResult", "LabFrame", "Material", "NbdaskError", "NormalEquations",
    "Parameter", "Sampling", "Scan", "Series", "Shot", "SimulationResult", "SourcePoint", "Sources",
    "Spread", "StructureFactors", "Truth", "__version__", "adjoint", "assemble", "fit", "fit_joint",
    "from_args", "from_toml", "gradient", "ground_truth", "image", "normal_equations", "open",
    "read_geometry", "read_shots", "repair", "series", "simulate", "to_args", "to_toml", "verify",
]  # fmt: skip
# Functions for stores, and factors of units.
__all__ += ["compare", "export", "noise", "plan", "preview", "units", "view"]
#: Folder of the package -> module of the function that has its name.
_FUNCTIONS = {
    "nbdask.export": "nbdask.export.formats",
    "nbdask.plan": "nbdask.lazy",
    "nbdask.view": "nbdask.view.notebook",
}


class _Callable(ModuleType):
    """A folder of the package that is also the function of its name, loaded when it is called."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the function."""
        function = getattr(importlib.import_module(_FUNCTIONS[self.__name__]), _name_of(self))
        return function(*args, **options)


def _name_of(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


for _folder in _FUNCTIONS:
    importlib.import_module(_folder).__class__ = _Callable


def __getattr__(name: str) -> Any:
    """Load a public name from the module that holds it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nbdask' has no attribute {name!r}")
    if name in ("image", "open", "series"):
        importlib.import_module("nbdask.accessor")  # their results have .nbdask
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
