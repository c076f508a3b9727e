"""Background from amorphous material."""

from __future__ import annotations

from dataclasses import dataclass

from nbdask.errors import FieldError
from nbdask.experiment import checks

#: What the first column of a table holds: sin(theta)/lambda, 4 times that, 4 pi times that.
AXES = ("stol", "4stol", "Q")


@dataclass(frozen=True, slots=True)
class Material:
    """A sheet of amorphous material in the beam, such as a jet of water or a path of air.

    Parameters
    ----------
    thickness : float
        Along the beam [m].
    table : str or None
        Name of a bundled table of amplitudes, such as ``"water"``.
    path : str or None
        File of a table instead: sin(theta)/lambda [1/Angstrom] and amplitude [electrons] of one
        molecule.
    density : float
        [kg/m^3]
    molar_mass : float
        Of what the amplitudes are of [kg/mol].
    width, height : float or None
        Across the beam [m]; None or more: the edge of the beam.
    axis : str
        What the first column of the file holds: ``"stol"``, ``"4stol"`` or ``"Q"`` (4 pi stol).
    sha256 : str or None
        Checksum of the table when the experiment was made; one that has changed is refused.
    """

    thickness: float
    table: str | None = None
    path: str | None = None
    density: float = 1000.0
    molar_mass: float = 0.018
    width: float | None = None
    height: float | None = None
    axis: str = "stol"
    sha256: str | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        name = "background.materials."
        checks.assign(
            self,
            thickness=checks.size(name + "thickness", self.thickness),
            density=checks.positive(name + "density", self.density),
            molar_mass=checks.positive(name + "molar_mass", self.molar_mass),
            width=checks.optional(checks.size, name + "width", self.width),
            height=checks.optional(checks.size, name + "height", self.height),
            table=checks.optional(checks.text, name + "table", self.table),
            path=checks.optional(checks.path, name + "path", self.path),
            sha256=checks.optional(checks.text, name + "sha256", self.sha256),
        )
        checks.one_of(name + "axis", self.axis, AXES)
        if (self.table is None) == (self.path is None):
            raise FieldError(
                name + "table", self.table, "the name of a table, or else a path given"
            )

    @property
    def name(self) -> str:
        """What the table is called."""
        return str(self.path if self.table is None else self.table)


@dataclass(frozen=True, slots=True)
class Background:
    """What scatters beside the crystal, and what stands before the detector.

    Parameters
    ----------
    water : float
        Edge of a cube of water around the crystal [m], as nanoBragg has it: the same amplitude in
        all directions; 0: none.
    materials : tuple of Material
        Amorphous materials in the beam.
    beamstop : tuple of 3 floats or None
        Radius of the beam stop's shadow at the detector's distance, and its place beside the beam
        along the detector's fast and slow axes [m].
    shadow : str or None
        NumPy file with the share of the photons that reaches each pixel (slow, fast).
    shadow_sha256 : str or None
        Checksum of that file when the experiment was made.
    """

    water: float = 0.0
    materials: tuple[Material, ...] = ()
    beamstop: tuple[float, ...] | None = None
    shadow: str | None = None
    shadow_sha256: str | None = None

    __repr__ = checks.brief

    def __post_init__(self) -> None:
        """Check every field."""
        checks.assign(
            self,
            shadow=checks.optional(checks.path, "background.shadow", self.shadow),
            shadow_sha256=checks.optional(
                checks.text, "background.shadow_sha256", self.shadow_sha256
            ),
        )
        if self.beamstop is not None:
            stop = checks.vector("background.beamstop", self.beamstop)
            checks.size("background.beamstop", stop[0])
            checks.assign(self, beamstop=stop)
        checks.not_negative("background.water", self.water)
        field = "background.materials"
        if not isinstance(self.materials, (tuple, list)):
            raise FieldError(field, self.materials, "a list of materials")
        checks.assign(self, materials=tuple(self.materials))
        for number, material in enumerate(self.materials):
            if not isinstance(material, Material):
                raise FieldError(f"{field}[{number}]", material, "a Material")
