"""Result of a comparison: per region and in total, with its verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nbdask.parity.errors import BEYOND, EQUAL, ParityUsageError
from nbdask.parity.measures import Measures, total
from nbdask.plan.tiles import Tile

#: Largest relative deviation that is allowed, by the precision of the kernel.
MAX_REL = {"float64": 2e-7, "mixed": 1e-5, "pairs": 1e-5}
#: Below this share of the mean the pixels of a region do not vary by more than rounding, and
#: their correlation says nothing.
_FLAT = 1e-6


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Bounds of what counts as equal.

    Parameters
    ----------
    max_rel : float
        Worst relative deviation of any pixel.
    min_corr : float
        Pearson correlation of each region.
    sum_tol : float
        How far the ratio of the sums may be from 1.
    peak_tol : float
        Largest distance of matching peaks [pixels].
    """

    max_rel: float = MAX_REL["float64"]
    min_corr: float = 0.999999
    sum_tol: float = 1e-6
    peak_tol: float = 0.5

    def __post_init__(self) -> None:
        """Refuse bounds that nothing, or everything, is beyond."""
        for name, value in self.to_dict().items():
            if not math.isfinite(value):
                raise ParityUsageError(f"{name} = {value!r}: must be a finite number")

    def beyond(self, found: Measures) -> tuple[str, ...]:
        """Return what exceeds the bounds, as texts."""
        faults = []
        if found.one_sided:
            faults.append(f"pixels that are finite in one image only: {found.one_sided}")
        if found.max_rel > self.max_rel and not found.one_sided:
            slow, fast = found.max_rel_at
            faults.append(
                f"deviation {found.max_rel:.3g} at slow {slow}, fast {fast} exceeds"
                f" {self.max_rel:g}"
            )
        if _varies(found) and found.correlation < self.min_corr:
            faults.append(f"correlation {found.correlation:.9g} is below {self.min_corr:g}")
        if not abs(found.sum_ratio - 1.0) <= self.sum_tol:
            faults.append(f"ratio of sums {found.sum_ratio:.9g} is beyond 1 +- {self.sum_tol:g}")
        if found.peaks.missing:
            faults.append(f"{found.peaks.missing} of {found.peaks.count} peaks are missing")
        elif found.peaks.distance_max > self.peak_tol:
            faults.append(
                f"a peak is {found.peaks.distance_max:.3g} pixels away, more than {self.peak_tol:g}"
            )
        return tuple(faults)

    def for_precisions(self, *precisions: str | None) -> Thresholds:
        """Return these with the largest deviation that the least precise kernel is allowed."""
        bounds = [MAX_REL[name] for name in precisions if name is not None]
        return replace(self, max_rel=max(bounds, default=MAX_REL["float64"]))

    def to_dict(self) -> dict[str, float]:
        """Return the bounds by name."""
        return {
            "max_rel": self.max_rel,
            "min_corr": self.min_corr,
            "sum_tol": self.sum_tol,
            "peak_tol": self.peak_tol,
        }


def _varies(found: Measures) -> bool:
    """Whether the reference's pixels differ from each other by more than rounding."""
    sums = found.sums
    spread = math.sqrt(sums.m2_b / sums.n) if sums.n else 0.0
    return spread > _FLAT * abs(sums.mean_b)


@dataclass(frozen=True, slots=True)
class Pictures:
    """PNG data URIs of a region: the image, the reference, their deviation."""

    image: str
    reference: str
    deviation: str


@dataclass(frozen=True, slots=True)
class RegionResult:
    """The comparison of one region.

    Attributes
    ----------
    tile : Tile
        Its pixels.
    why : str
        Why it was chosen.
    measures : Measures
    seconds, seconds_reference : float or None
        What nbdask and C took for it.
    argv : tuple of str
        Arguments of C.
    stdout, stderr : str
        What C printed (the last part).
    notes : tuple of str
    first : tuple of int or None
        Place (slow, fast) of the pixel that was compared as the first of a run of C, which has no
        earlier rotation to carry over.
    pictures : Pictures or None
    panel : str or None
        Name of the panel, where there are several.
    shot : int or None
        Of a series.
    """

    tile: Tile
    why: str
    measures: Measures
    seconds: float | None = None
    seconds_reference: float | None = None
    argv: tuple[str, ...] = ()
    stdout: str = ""
    stderr: str = ""
    notes: tuple[str, ...] = ()
    first: tuple[int, int] | None = None
    pictures: Pictures | None = None
    panel: str | None = None
    shot: int | None = None

    @property
    def before(self) -> tuple[str, ...]:
        """Return shot and panel, where there are several, as text."""
        shot = () if self.shot is None else (f"shot {self.shot}",)
        return shot if self.panel is None else (*shot, f"panel {self.panel}")

    def __str__(self) -> str:
        """Return where it is, in one line."""
        t = self.tile
        place = (f"slow {t.slow0} to {t.slow1 - 1}", f"fast {t.fast0} to {t.fast1 - 1}")
        return ", ".join((*self.before, *place))

    def to_dict(self, thresholds: Thresholds) -> dict[str, Any]:
        """Return it without pictures, JSON-able."""
        t = self.tile
        result: dict[str, Any] = {
            **({} if self.shot is None else {"shot": self.shot}),
            **({} if self.panel is None else {"panel": self.panel}),
            "slow": [t.slow0, t.slow1 - 1],
            "fast": [t.fast0, t.fast1 - 1],
            "why": self.why,
            "ok": not thresholds.beyond(self.measures),
            "beyond": list(thresholds.beyond(self.measures)),
            **self.measures.to_dict(),
        }
        if self.seconds is not None:
            result["seconds"] = round(self.seconds, 4)
        if self.seconds_reference is not None:
            result["seconds_reference"] = round(self.seconds_reference, 4)
        if self.argv:
            result |= {"arguments": list(self.argv), "stdout": self.stdout, "stderr": self.stderr}
        if self.first is not None:
            result["first_of_run"] = list(self.first)
        if self.notes:
            result["notes"] = list(self.notes)
        return result


@dataclass(frozen=True, slots=True)
class Outcome:
    """The whole comparison.

    Attributes
    ----------
    kind : str
        ``"parity"`` or ``"compare"``.
    image, reference : str
        The two compared, as text.
    shape : tuple of int
        Pixels of the image (slow, fast).
    thresholds : Thresholds
    regions : tuple of RegionResult
    facts : dict
        JSON-able: date, versions, program, mode, semantics.
    notes : tuple of str
        What the reader should know, such as expected differences.
    """

    kind: str
    image: str
    reference: str
    shape: tuple[int, int]
    thresholds: Thresholds
    regions: tuple[RegionResult, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the verdict in a line."""
        verdict = "within thresholds" if self.ok else "beyond thresholds"
        worst = f"worst deviation {self.total.max_rel:.2e}"
        return f"<Outcome: {self.image} and {self.reference}, {verdict}, {worst}>"

    @property
    def total(self) -> Measures:
        """The comparison of all regions together."""
        return total(region.measures for region in self.regions)

    @property
    def failed(self) -> tuple[RegionResult, ...]:
        """The regions that exceed a threshold."""
        return tuple(r for r in self.regions if self.thresholds.beyond(r.measures))

    @property
    def ok(self) -> bool:
        """Whether every region is within all thresholds."""
        return not self.failed

    @property
    def exit_code(self) -> int:
        """Exit code of the command."""
        return EQUAL if self.ok else BEYOND

    def seconds(self) -> tuple[float | None, float | None]:
        """Return what nbdask and C took for all regions, None where that is not known."""
        return _added([r.seconds for r in self.regions]), _added(
            [r.seconds_reference for r in self.regions]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the pictures, JSON-able."""
        ours, theirs = self.seconds()
        return {
            "kind": self.kind,
            "ok": self.ok,
            "exit_code": self.exit_code,
            "image": self.image,
            "reference": self.reference,
            "shape": list(self.shape),
            **self.facts,
            "thresholds": self.thresholds.to_dict(),
            "notes": list(self.notes),
            "seconds": ours,
            "seconds_reference": theirs,
            "total": self.total.to_dict(),
            "regions": [region.to_dict(self.thresholds) for region in self.regions],
        }


def _added(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known), 4) if values and len(known) == len(values) else None
