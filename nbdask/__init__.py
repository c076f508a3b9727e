"""X-ray diffraction images of nanocrystals on pixel detectors of any size.

The public names are loaded when first used, so that ``import nbdask`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nbdask.version import __version__

if TYPE_CHECKING:
    from nbdask.derive.assembly import assemble
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
    from nbdask.gradients.fit import FitResult, fit
    from nbdask.gradients.lazy import gradient
    from nbdask.gradients.normal import NormalEquations, normal_equations
    from nbdask.gradients.parameters import Parameter
    from nbdask.lazy import image
    from nbdask.panels.read import read_geometry
    from nbdask.run import SimulationResult, simulate
    from nbdask.store.open import open_store as open
    from nbdask.verification import repair, verify

_HOMES = {
    "NbdaskError": ("nbdask.errors", "NbdaskError"),
    "adjoint": ("nbdask.gradients.adjoint", "adjoint"),
    "fit": ("nbdask.gradients.fit", "fit"),
    "FitResult": ("nbdask.gradients.fit", "FitResult"),
    "gradient": ("nbdask.gradients.lazy", "gradient"),
    "assemble": ("nbdask.derive.assembly", "assemble"),
    "NormalEquations": ("nbdask.gradients.normal", "NormalEquations"),
    "normal_equations": ("nbdask.gradients.normal", "normal_equations"),
    "image": ("nbdask.lazy", "image"),
    "Parameter": ("nbdask.gradients.parameters", "Parameter"),
    "simulate": ("nbdask.run", "simulate"),
    "SimulationResult": ("nbdask.run", "SimulationResult"),
    "read_geometry": ("nbdask.panels.read", "read_geometry"),
    "open": ("nbdask.store.open", "open_store"),
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
    "FitResult", "LabFrame", "Material", "NbdaskError", "NormalEquations", "Parameter", "Sampling",
    "Scan", "SimulationResult", "SourcePoint", "Sources", "Spread", "StructureFactors",
    "__version__", "adjoint", "assemble", "fit", "from_args", "from_toml", "gradient", "image",
    "normal_equations", "open", "read_geometry", "repair", "simulate", "to_args", "to_toml",
    "verify",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name from the module that holds it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nbdask' has no attribute {name!r}")
    if name in ("image", "open"):
        importlib.import_module("nbdask.accessor")  # their results have .nbdask
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
