"""What a user asks of a model or a reflection file."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Request:
    """Options of the command line, as they were given.

    Parameters
    ----------
    model : str or None
        Atomic model: PDB, mmCIF.
    reflections : str or None
        MTZ, mmCIF structure factors, SHELX hkl.
    dmin : float or None
        Finest spacing [Angstrom].
    energy : float, str or None
        Photon energy of the anomalous scattering [eV], ``"off"``, or None: that of the beam.
    fprime : tuple of str
        Tables of f' and f'': FILE or ELEMENT=FILE.
    solvent : str or None
        ``"on"``, ``"off"``, or ``"K,B"`` or ``"K,B,PROBE,SHRINK"``.
    column : str or None
        Of the reflection file.
    fill : str or None
        ``"model"``: the model completes the reflections.
    space_group : str or None
        Of a reflection file, in place of its own.
    method : str or None
        ``"direct"`` or ``"map"``; None: whichever suits.
    """

    model: str | None = None
    reflections: str | None = None
    dmin: float | None = None
    energy: float | str | None = None
    fprime: tuple[str, ...] = ()
    solvent: str | None = None
    column: str | None = None
    fill: str | None = None
    space_group: str | None = None
    method: str | None = None

    def given(self) -> list[str]:
        """Return the options that were given, as the user writes them."""
        return [
            "--" + item.name.replace("_", "-")
            for item in fields(self)
            if getattr(self, item.name) != item.default
        ]
