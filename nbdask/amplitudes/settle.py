"""From what a user asks to a recipe in which nothing is open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np

from nbdask import units
from nbdask.amplitudes import make
from nbdask.amplitudes.calculate import method_for
from nbdask.amplitudes.content import content_of
from nbdask.amplitudes.dispersion import Row, dispersion
from nbdask.amplitudes.models import Model, read_model
from nbdask.amplitudes.request import Request
from nbdask.amplitudes.scale import close_cells
from nbdask.amplitudes.symmetry import Symmetry, unique_indices
from nbdask.errors import InputError
from nbdask.experiment.structure import METHODS, Recipe, StructureFactors
from nbdask.inputs.checksum import sha256_of
from nbdask.inputs.text import to_number

#: k [electrons/Angstrom^3], B [Angstrom^2], probe radius, shrinkage [Angstrom].
SOLVENT = (0.35, 46.0, 1.1, 0.9)
FORM_FACTORS = "f0: International Tables C (1992)"
Cell = tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """What a request amounts to.

    Attributes
    ----------
    structure : StructureFactors
    symmetry : Symmetry
        Of the file.
    cell : tuple of 6 floats
        Of the file, a, b, c [m], alpha, beta, gamma [rad].
    notes : tuple of str
    """

    structure: StructureFactors
    symmetry: Symmetry
    cell: Cell
    notes: tuple[str, ...]


def settle(
    request: Request,
    *,
    wavelength: float | None = None,
    cell: Cell | None = None,
    d_min: float | None = None,
    spectrum: Sequence[float] = (),
    use: Callable[[str], str] = str,
    compare: bool = False,
) -> Settled:
    """Settle every choice that a request leaves open, and check its files.

    Parameters
    ----------
    request : Request
    wavelength : float, optional
        Of the beam [m]; None: there is none, and no anomalous scattering unless asked for.
    cell : tuple of 6 floats, optional
        The user's [m, rad].
    d_min : float, optional
        The run's own limit [m], if the request has none.
    spectrum : sequence of float
        Wavelengths [m], at each of which a model has its own f' and f'' unless an energy is asked
        for.
    use : callable
        Makes the absolute path of a file.
    compare : bool
        Whether a model may stand beside a list without completing it.

    Raises
    ------
    InputError
        Options that do not go together, or a malformed file.
    """
    _check(request, compare)
    request = replace(request, fprime=tuple(_used(word, use) for word in request.fprime))
    limit = d_min or None if request.dmin is None else units.from_angstrom(_positive(request.dmin))
    path = use(request.reflections or request.model or "")
    if request.reflections is None:
        recipe, symmetry, notes = _of_model(path, request, limit, wavelength, spectrum)
        kind = "model"
    else:
        recipe, symmetry, notes = _of_list(path, request, limit, wavelength, cell, use)
        kind = "reflections"
        notes = (*notes, *_same_for_all(path, spectrum))
    structure = StructureFactors(path=path, format=kind, sha256=sha256_of(path), recipe=recipe)
    stated = symmetry.numbers
    own = tuple(map(units.from_angstrom, stated[:3])) + tuple(map(units.from_degrees, stated[3:]))
    if cell is not None and check_cell(path, symmetry, cell):
        notes = (*notes, f"{path}: the cell given is used, which differs from the file's")
    if request.fill is not None and not compare:
        notes = tuple(dict.fromkeys((*notes, *make.made(structure).notes)))
    return Settled(structure, symmetry, own, notes)


def _used(word: str, use: Callable[[str], str]) -> str:
    """Make the path of FILE or ELEMENT=FILE absolute."""
    element, equals, path = word.partition("=")
    if equals and len(element) <= 2:
        return f"{element}={use(path)}"
    return use(word)


def check_cell(path: str, symmetry: Symmetry, cell: Cell) -> bool:
    """Refuse a cell that contradicts the one of a file; return whether it differs at all.

    Parameters
    ----------
    path : str
    symmetry : Symmetry
        Of the file.
    cell : tuple of 6 floats
        [m, rad]

    Raises
    ------
    InputError
        They differ by more than 1 % or 1 degree.
    """
    given = np.array([*(x * 1e10 for x in cell[:3]), *(units.to_degrees(x) for x in cell[3:])])
    if not close_cells(given, np.array(symmetry.numbers)):
        texts = [" ".join(f"{x:.6g}" for x in numbers) for numbers in (given, symmetry.numbers)]
        raise InputError(
            f"cell {texts[0]}: contradicts {path}, which has {texts[1]}: leave out -cell (or the"
            " matrix), or give one within 1 % and 1 degree"
        )
    return not np.allclose(given, symmetry.numbers, rtol=1e-5, atol=0.0)


def _check(request: Request, compare: bool) -> None:
    """Refuse options that do not go together."""
    both = request.model is not None and request.reflections is not None
    if both and request.fill is None and not compare:
        raise InputError("--model with --reflections: needs --fill model (or leave out one)")
    if request.model is None and request.reflections is None:
        raise InputError(f"{request.given()[0]}: needs --model FILE or --reflections FILE")
    lists = {
        "--column": request.column,
        "--fill": request.fill,
        "--space-group": request.space_group,
    }
    for name, value in lists.items():
        if request.reflections is None and value is not None:
            raise InputError(f"{name} {value}: needs --reflections FILE")
    for name, given in (
        ("--energy", request.energy),
        ("--fprime", request.fprime or None),
        ("--solvent", request.solvent),
        ("--method", request.method),
    ):
        if request.model is None and given is not None:
            raise InputError(f"{name}: needs --model FILE")
    if request.fill not in (None, "model"):
        raise InputError(f"--fill {request.fill}: must be model")
    if request.fill is not None and request.model is None:
        raise InputError("--fill model: needs --model FILE")
    if request.method not in (None, *METHODS):
        raise InputError(f"--method {request.method}: must be one of {', '.join(METHODS)}")


def _positive(dmin: float) -> float:
    if not (np.isfinite(dmin) and dmin > 0.0):
        raise InputError(f"--dmin {dmin:g}: must be a number above 0, in Angstrom")
    return dmin


def _of_model(
    path: str,
    request: Request,
    limit: float | None,
    wavelength: float | None,
    spectrum: Sequence[float],
) -> tuple[Recipe, Symmetry, tuple[str, ...]]:
    model = read_model(path)
    if limit is None:
        raise InputError("--dmin is missing: --model needs the finest spacing, such as --dmin 2.0")
    recipe, notes = _model_recipe(model, request, limit, wavelength, spectrum)
    return recipe, model.symmetry, (*model.notes, *notes)


def _model_recipe(
    model: Model,
    request: Request,
    limit: float,
    wavelength: float | None,
    spectrum: Sequence[float] = (),
) -> tuple[Recipe, tuple[str, ...]]:
    hkl = unique_indices(model.path, model.symmetry, units.to_angstrom(limit))
    energy = _energy(request.energy, wavelength)
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    tables = ""
    if energy is not None:
        elements = [atoms.element for atoms in model.atoms]
        rows, tables, notes = dispersion(elements, energy, request.fprime)
        tables = "; f', f'': " + tables
    elif request.fprime:
        raise InputError("--fprime: needs --energy E, at which f' and f'' are taken")
    recipe = Recipe(
        d_min=limit,
        energy=energy,
        dispersion=rows,
        tables=f"{FORM_FACTORS}{tables}; gemmi {version('gemmi')}",
        solvent=_solvent(request.solvent),
        method=request.method or method_for(model, len(hkl)),
    )
    sums = "direct sums" if recipe.method == "direct" else "density maps"
    scattering = f"f', f'' at {energy:.7g} eV" if energy is not None else "no f', f''"
    if spectrum and request.energy is None:
        recipe, more = _at_energies(recipe, model, request, spectrum)
        notes = tuple(dict.fromkeys((*notes, *more)))
        count = len(set(recipe.anomalous))
        if count > 1:
            scattering = f"f', f'' at each of {count} photon energies, with a table of F for each"
    water = (
        "no solvent"
        if recipe.solvent is None
        else "bulk solvent k {:g}, B {:g}".format(*recipe.solvent[:2])
    )
    told = f"{model.path}: F by {sums}, {recipe.tables}; {scattering}; {water}"
    return recipe, (*notes, told)


def _of_list(
    path: str,
    request: Request,
    limit: float | None,
    wavelength: float | None,
    cell: Cell | None,
    use: Callable[[str], str],
) -> tuple[Recipe, Symmetry, tuple[str, ...]]:
    content = content_of(path)
    # A file of another format states its own cell, which the user's must agree with.
    own = cell if content.kind == "list" else None
    recipe = Recipe(d_min=limit, column=request.column, cell=own, space_group=request.space_group)
    found = make.listed(path, recipe)
    recipe = replace(recipe, column=found.columns[0])
    if request.model is None:
        few = make.incomplete(path, found.table.within(make.angstrom(recipe)), limit)
        return recipe, found.table.symmetry, (*found.notes, *few)
    if limit is None:
        raise InputError("--dmin is missing: --model needs the finest spacing, such as --dmin 2.0")
    name = use(request.model)
    model = read_model(name)
    of_model, notes = _model_recipe(model, request, limit, wavelength)
    whole = replace(
        of_model,
        column=recipe.column,
        cell=recipe.cell,
        space_group=recipe.space_group,
        model=name,
        model_sha256=sha256_of(name),
    )
    return whole, found.table.symmetry, (*found.notes, *model.notes, *notes)


def _at_energies(
    recipe: Recipe, model: Model, request: Request, wavelengths: Sequence[float]
) -> tuple[Recipe, tuple[str, ...]]:
    """Return a model's recipe with f' and f'' at each wavelength of a spectrum."""
    elements = [atoms.element for atoms in model.atoms]
    energies, rows, notes = [], [], dict[str, None]()
    for wave in wavelengths:
        energy = _energy(None, wave)
        assert energy is not None
        found, _, told = dispersion(elements, energy, request.fprime)
        energies.append(energy)
        rows.append(tuple(value for row in found for value in row[1:]))
        notes.update(dict.fromkeys(told))
    return replace(recipe, energies=tuple(energies), anomalous=tuple(rows)), tuple(notes)


def _same_for_all(path: str, wavelengths: Sequence[float]) -> tuple[str, ...]:
    """Return a note where a list serves several wavelengths: it knows no f' and f''."""
    count = len(set(wavelengths))
    if count < 2:
        return ()
    return (
        f"{path}: the same F at all {count} wavelengths of the spectrum, also over an absorption"
        " edge: f' and f'' at each need --model without --reflections",
    )


def _energy(asked: float | str | None, wavelength: float | None) -> float | None:
    """Return the photon energy [eV]; None: no anomalous scattering."""
    if asked is None:
        # To 15 digits, so that a wavelength given in eV gives back that number.
        return (
            None
            if wavelength is None
            else float(f"{units.EV_ANGSTROM / units.to_angstrom(wavelength):.15g}")
        )
    if asked == "off":
        return None
    energy = to_number(str(asked))
    if energy is None or energy <= 0.0:
        raise InputError(f"--energy {asked}: must be a number above 0, in eV, or off")
    return energy


def _solvent(asked: str | None) -> Cell | None:
    """Return k, B, probe radius and shrinkage; None: no solvent."""
    if asked is None or asked == "off":
        return None
    if asked == "on":
        return SOLVENT
    values = [to_number(word.strip()) for word in asked.split(",")]
    numbers = [value for value in values if value is not None and value >= 0.0]
    if len(values) not in (2, 4) or len(numbers) != len(values):
        raise InputError(
            f"--solvent {asked}: must be on, off, K,B or K,B,PROBE,SHRINK (numbers of at least 0:"
            " electrons/Angstrom^3, Angstrom^2, Angstrom, Angstrom)"
        )
    return (*numbers, *SOLVENT[len(numbers) :])
