"""What the caller adds to a file, and how readers refuse: one line with place, found, allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from nbdask.errors import InputError, InputFileError
from nbdask.inputs.text import check_regular, problem, unreadable
from nbdask.panels.quantities import WAVELENGTHS_TEXT, believed, to_energy

#: Relative difference up to which two statements of the same quantity agree.
AGREE = 1e-6


def one_line(text: str) -> str:
    """Return a text without breaks: names in files may hold any character."""
    return " ".join(text.split())


@dataclass(slots=True)
class Given:
    """What options say, in SI, and what of it was taken.

    Parameters
    ----------
    path : Path
        The file, for messages.
    wavelength, clen : float or None
        [m].
    shot : int
        Which shot of the file, from 0.
    taken, notes : list of str
        Filled by the reader.
    """

    path: Path
    wavelength: float | None = None
    clen: float | None = None
    shot: int = 0
    taken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self, where: str, found: str, allowed: str) -> InputFileError:
        """Return the error for a place in the file."""
        text = one_line(f"{where}: {found}" if where else found)
        return problem(self.path, None, text, allowed)

    def lines(self, what: str) -> list[str]:
        """Return the lines of the file; bytes that are no UTF-8 are taken for Latin-1."""
        check_regular(self.path, what)
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise unreadable(self.path, error, what) from None
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
        return text.splitlines()

    def of_file(self, error: InputError, where: str = "") -> InputFileError:
        """Return an error of the model as one of this file."""
        if isinstance(error, InputFileError):
            return error
        text = one_line(f"{where}: {error}" if where else str(error))
        return InputFileError(f"{self.path}: {text}")

    def settle_wavelength(self, found: float | None, where: str, *, needed: bool) -> float | None:
        """Return the file's wavelength or the given one [m].

        Parameters
        ----------
        found : float or None
            What the file says.
        where : str
            Its key, for messages.
        needed : bool
            Refuse where neither says it.
        """
        if found is not None:
            if not believed(found):
                raise self.refuse(where, f"{found * 1e10:g} A", WAVELENGTHS_TEXT)
            if self.wavelength is not None and abs(self.wavelength / found - 1.0) > AGREE:
                raise self.refuse(
                    where,
                    f"the file says {found * 1e10:.10g} A ({to_energy(found):.10g} eV), the option"
                    f" {self.wavelength * 1e10:.10g} A",
                    "the same, or leave out the option",
                )
            return found
        if self.wavelength is None:
            if needed:
                raise self.refuse(where, "no wavelength", "given with --wavelength or --energy")
            return None
        wave = self.wavelength
        self.taken.append(f"wavelength {wave * 1e10:.10g} A ({to_energy(wave):.10g} eV)")
        return wave

    def refuse_clen(self) -> None:
        """Refuse a camera length for a format that places panels without one."""
        if self.clen is not None:
            raise self.refuse(
                "--clen",
                "this file places its panels itself",
                "left out (--distance-shift moves the detector along z)",
            )

    def pick_shot(self, shots: int, what: str) -> int:
        """Return the index of the wanted shot."""
        if not 0 <= self.shot < max(shots, 1):
            raise self.refuse("--shot", str(self.shot), f"0 to {shots - 1} ({what})")
        if shots > 1:
            self.notes.append(f"{shots} {what}: this is number {self.shot} (--shot)")
        return self.shot
