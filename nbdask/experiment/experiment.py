"""The whole experiment: one frozen object, its cross-checks, its dict form, its fingerprint."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from nbdask import html
from nbdask.errors import FieldError, nearest
from nbdask.experiment import checks
from nbdask.experiment.background import Background
from nbdask.experiment.beam import Beam
from nbdask.experiment.crystal import Crystal
from nbdask.experiment.detector import Detector
from nbdask.experiment.frame import LabFrame
from nbdask.experiment.lattice import Lattice
from nbdask.experiment.sampling import Sampling
from nbdask.experiment.scan import Scan
from nbdask.experiment.sources import Sources
from nbdask.experiment.structure import StructureFactors
from nbdask.experiment.summary import background_rows, summary_rows

SEMANTICS = ("spec", "c")
_PARTS: dict[str, type] = {
    "crystal": Crystal,
    "structure": StructureFactors,
    "beam": Beam,
    "frame": LabFrame,
    "detector": Detector,
    "sources": Sources,
    "scan": Scan,
    "background": Background,
    "sampling": Sampling,
}


@dataclass(frozen=True, slots=True)
class Experiment:
    """Everything that determines the pixels, in SI units.

    Parameters
    ----------
    crystal : Crystal
    structure : StructureFactors
    beam : Beam
    frame : LabFrame
    detector : Detector
    sources : Sources
    scan : Scan
    background : Background
    sampling : Sampling
    lattices : tuple of Lattice
        Further crystals: the image is the sum of those of all.
    weight : float
        Factor on the photons of the first crystal, beside others.
    semantics : str
        ``"spec"`` or ``"c"``: whether nanoBragg C's history-dependent behaviour is reproduced.

    Raises
    ------
    FieldError
        A field, or a combination of fields, that cannot be simulated.
    """

    crystal: Crystal
    structure: StructureFactors
    beam: Beam = field(default_factory=Beam)
    frame: LabFrame = field(default_factory=LabFrame)
    detector: Detector = field(default_factory=Detector)
    sources: Sources = field(default_factory=Sources)
    scan: Scan = field(default_factory=Scan)
    background: Background = field(default_factory=Background)
    sampling: Sampling = field(default_factory=Sampling)
    lattices: tuple[Lattice, ...] = ()
    weight: float = 1.0
    semantics: str = "spec"

    __repr__ = checks.brief

    def __post_init__(self) -> None:
        """Check what no part can check alone."""
        checks.one_of("semantics", self.semantics, SEMANTICS)
        for name, part in _PARTS.items():
            if not isinstance(getattr(self, name), part):
                raise FieldError(name, getattr(self, name), f"a {part.__name__}")
        checks.assign(
            self, lattices=tuple(self.lattices), weight=checks.not_negative("weight", self.weight)
        )
        self._check_lattices()
        recipe, spectrum = self.structure.recipe, self.sources.spectrum
        if recipe is not None and recipe.anomalous:
            count = 0 if spectrum is None else len(spectrum.wavelengths)
            if len(recipe.anomalous) != count:
                rows = f"{len(recipe.anomalous)} rows"
                allowed = f"a row for each of the {count} wavelengths of sources.spectrum"
                raise FieldError("structure.recipe.anomalous", rows, allowed)
        roi = self.sampling.roi
        if len(self.detector.panels) > 1:
            for name in ("roi", "mask"):
                if getattr(self.sampling, name) is not None:
                    allowed = "left out: it is of one panel, and the detector has several"
                    raise FieldError(f"sampling.{name}", getattr(self.sampling, name), allowed)
        if roi is not None and (roi[0] >= self.detector.n_slow or roi[2] >= self.detector.n_fast):
            raise FieldError(
                "sampling.roi",
                roi,
                "slow_min, slow_max, fast_min, fast_max with at least one pixel on the detector of"
                f" {self.detector.n_slow} (slow) x {self.detector.n_fast} (fast) pixels",
            )

    def _check_lattices(self) -> None:
        for lattice in self.lattices:
            if not isinstance(lattice, Lattice):
                raise FieldError("lattices", lattice, "a sequence of Lattice")
        if self.lattices and self.semantics == "c":
            raise FieldError("lattices", len(self.lattices), 'left out with the semantics "c"')
        for single in self.singles if self.lattices else ():
            assert single.lattices == ()
        if self.weight != 1.0 and not self.lattices:
            raise FieldError("weight", self.weight, "1 for a single crystal")

    @property
    def singles(self) -> tuple[Experiment, ...]:
        """The experiment with each of its crystals alone."""
        if not self.lattices:
            return (self,)
        first = self.replace(lattices=(), weight=1.0)
        others = (
            first.replace(crystal=x.crystal, structure=x.structure or self.structure)
            for x in self.lattices
        )
        return (first, *others)

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels of a panel, (slow, fast): the box around all where their sizes differ."""
        return (self.detector.n_slow, self.detector.n_fast)

    @property
    def n_panels(self) -> int:
        """Number of panels."""
        return max(1, len(self.detector.panels))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; fields that hold their defaults are left out.

        Leaving defaults out lets later versions add fields without changing old fingerprints.
        """
        result: dict[str, Any] = _plain(self)
        return result

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Experiment:
        """Build from the dict form.

        Raises
        ------
        FieldError
            An unknown key, a missing part, or a value that its field refuses.
        """
        result = _build(cls, data, "")
        assert isinstance(result, cls)
        return result

    def fingerprint(self) -> str:
        """Return the SHA-256 of the sorted dict form: equal fingerprints, equal pixels.

        Paths do not count where a checksum of the file's content is held.
        """
        data = self.to_dict()
        for table in (data, *data.get("lattices", [])):
            _forget_files(table)
        text = json.dumps(data, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def _repr_html_(self) -> str:
        """Show the experiment in a notebook."""
        rows = [
            *summary_rows(
                self.crystal,
                self.structure,
                self.beam,
                self.sources,
                self.detector,
                self.frame.convention,
                self.scan,
            ),
            *([("further crystals", str(len(self.lattices)))] if self.lattices else []),
            *background_rows(self.background),
            ("semantics", self.semantics),
            ("fingerprint", self.fingerprint()),
        ]
        return html.table("nbdask experiment", rows) + html.details("all fields", self.to_dict())

    def replace(self, **parts: Any) -> Experiment:
        """Return a copy with some parts replaced: ``e.replace(semantics="c")``."""
        return dataclasses.replace(self, **parts)


def _forget_files(data: dict[str, Any]) -> None:
    """Take out of a dict form the paths of files whose content or checksum it holds."""
    for part, path, checksum in (
        ("structure", "path", "sha256"),
        ("sampling", "mask", "mask_sha256"),
        ("background", "shadow", "shadow_sha256"),
    ):
        if checksum in data.get(part, {}):
            data[part].pop(path, None)
    for material in data.get("background", {}).get("materials", ()):
        if "sha256" in material:
            material.pop("path", None)
    recipe = data.get("structure", {}).get("recipe", {})
    if "model_sha256" in recipe:
        recipe.pop("model", None)
    recipe.pop("energies", None)
    crystal, sources = data.get("crystal", {}), data.get("sources", {})
    crystal.pop("matrix_file", None)
    crystal.get("mosaic", {}).pop("file", None)
    sources.pop("file", None)
    sources.get("spectrum", {}).pop("origin", None)
    for name in ("header_file", "geometry_file"):
        data.get("detector", {}).pop(name, None)


def _plain(value: Any) -> Any:
    """Turn dataclasses and tuples into dicts and lists, leaving defaults out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        result = {}
        for item in dataclasses.fields(value):
            content = getattr(value, item.name)
            default = item.default
            if item.default_factory is not dataclasses.MISSING:
                default = item.default_factory()
            if default is dataclasses.MISSING or content != default:
                result[item.name] = _plain(content)
        return result
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


@lru_cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _dataclass_in(hint: Any) -> type | None:
    """Return the dataclass that a type hint holds, also inside Optional or a tuple."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint
    if typing.get_origin(hint) in (types.UnionType, typing.Union, tuple):
        for part in typing.get_args(hint):
            found = _dataclass_in(part)
            if found is not None:
                return found
    return None


def _build(cls: type, data: Any, prefix: str) -> Any:
    """Build dataclass ``cls`` from a mapping, naming the full field in every error."""
    if not isinstance(data, Mapping):
        raise FieldError(prefix.rstrip(".") or "experiment", data, "a table of fields")
    known = {item.name: item for item in dataclasses.fields(cls)}
    unknown = [key for key in data if key not in known]
    if unknown:
        close = nearest(str(unknown[0]), known)
        allowed = f"{close[0]}, or another" if close else "one"
        allowed += f" of the fields {', '.join(known)}"
        raise FieldError(prefix + str(unknown[0]), data[unknown[0]], allowed)
    values = {}
    for key, content in data.items():
        part = _dataclass_in(_hints(cls)[key])
        if part is not None and isinstance(content, (list, tuple)):
            content = tuple(_build(part, item, f"{prefix}{key}.") for item in content)
        elif part is not None and content is not None:
            content = _build(part, content, f"{prefix}{key}.")
        elif isinstance(content, list):
            content = tuple(tuple(c) if isinstance(c, list) else c for c in content)
        values[key] = content
    for name, item in known.items():
        no_default = (
            item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        )
        if no_default and name not in values:
            raise FieldError(prefix + name, "nothing", "given")
    return cls(**values)
