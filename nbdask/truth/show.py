"""Truth as it is printed: in words, and as JSON has it."""

from __future__ import annotations

import math
from typing import Any

import xarray

from nbdask.truth.tables import Truth

#: Rows that are printed at most.
_MOST = 20


def plain(truth: Truth) -> dict[str, Any]:
    """Return truth as JSON has it: column -> rows."""
    found = {"attributes": dict(truth.shots.attrs), "shots": _columns(truth.shots)}
    if truth.reflections is not None:
        found["reflections"] = _columns(truth.reflections)
    return found


def _columns(data: xarray.Dataset) -> dict[str, Any]:
    return {str(name): _finite(values.values.tolist()) for name, values in data.variables.items()}


def _finite(value: Any) -> Any:
    """Return nested lists with null for what is no number."""
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def text(truth: Truth) -> str:
    """Return the tables in words, the first rows of each, to be printed."""
    shots = truth.shots
    lines = []
    for row in range(min(_MOST, shots.sizes["shot"])):
        lines += _shot_lines(shots.isel(shot=row))
    if shots.sizes["shot"] > _MOST:
        lines.append(f"... and {shots.sizes['shot'] - _MOST} more shots (--out or --json)")
    if truth.reflections is not None:
        lines += _reflection_lines(truth.reflections)
    return "\n".join(lines)


def _shot_lines(shot: xarray.Dataset) -> list[str]:
    """Return the lines of one shot."""

    def value(name: str) -> float:
        """Return a number of the shot."""
        return float(shot[name])

    still = f"phi {value('phi'):g} deg"
    turning = f"phi {value('phi'):g} deg in the middle of {value('osc'):g} deg"
    lines = [
        f"shot {int(shot['shot'])}: {value('energy'):.7g} eV ({value('wavelength'):.7g} Angstrom,"
        f" bandwidth {100.0 * value('bandwidth'):.3g} %), fluence {value('fluence'):.6g}"
        f" photons/m^2, distance {value('distance'):.7g} mm, {turning if shot['osc'] else still}"
    ]
    for number in range(shot.sizes["crystal"]):
        one = shot.isel(crystal=number)
        values = {name: one[name].values.reshape(-1) for name in one.data_vars}
        spread = (
            "listed"
            if math.isnan(values["mosaic_spread"][0])
            else _numbers(sorted(set(values["mosaic_spread"].tolist())), 4)
        )
        lines += [
            f"  crystal {number}: cell {_numbers(values['cell'], 7)},"
            f" cells {_numbers(values['n_cells'], 9)}, mosaic spread {spread} deg"
            f" in {int(values['mosaic_domains'][0])} domains, scale {values['scale'][0]:.6g}",
            f"    U (w x y z) {_numbers(values['quaternion'], 8)}",
            f"    A (rows, 1/Angstrom) {_numbers(values['reciprocal_matrix'], 8)}",
        ]
    if "n_reflections" in shot:
        lines.append(
            f"  {int(shot['n_reflections'])} reflections; {int(shot['n_left_out'])} weaker ones,"
            f" {value('photons_left_out'):.4g} photons in all, are left out (--least)"
        )
    return lines


def _numbers(values: Any, digits: int) -> str:
    return " ".join(f"{float(value):.{digits}g}" for value in values)


def _reflection_lines(data: xarray.Dataset) -> list[str]:
    """Return the reflections of the most photons."""
    table = data[["h", "k", "l", "panel_number", "fast_centroid", "slow_centroid", "photons",
                  "partiality", "F_squared", "excitation_error"]].to_dataframe()  # fmt: skip
    best = table.sort_values("photons", ascending=False, kind="stable").head(_MOST)
    lines = [
        f"{len(table)} reflections, those of the most photons:",
        "    h    k    l panel      fast      slow      photons  partial.         F^2   exc. error",
    ]
    for h, k, el, panel, *rest in best.itertuples(index=False):
        fast, slow, photons, partiality, squared, error = rest
        lines.append(
            f"{h:5d}{k:5d}{el:5d}{panel:6d}{fast:10.3f}{slow:10.3f}{photons:13.6g}"
            f"{partiality:10.4f}{squared:12.5g}{error:13.3e}"
        )
    return lines
