"""Convention, pivot and the placement of the detector: which flags count in the end."""

from __future__ import annotations

from nbdask.experiment.frame import PIVOTS, VECTOR_NAMES
from nbdask.flags.builder import Builder

_ONLY_CLOSE = ("detector.org_x", "detector.org_y", "detector.close_x", "detector.close_y")
_ONLY_BEAM = ("detector.beam_x", "detector.beam_y", "detector.close_x", "detector.close_y")


def finish_placement(builder: Builder, *, semantics: str) -> None:
    """Settle convention, vectors and pivot, and say what has no effect.

    Parameters
    ----------
    builder : Builder
    semantics : str
        ``"spec"`` honours an explicit -pivot under a named convention, ``"c"`` does not.
    """
    if builder.get("detector.panels"):
        return
    convention = builder.get("frame.convention", "MOSFLM")
    explicit = builder.get("explicit.pivot")
    if convention == "CUSTOM":
        builder.set("detector.pivot", builder.get("pivot", "beam"), builder.origin("pivot") or "")
    else:
        _drop_vectors(builder, convention)
        if explicit is not None:
            origin = builder.origin("explicit.pivot") or "-pivot"
            builder.set("detector.pivot", explicit, origin)
            _note_pivot(builder, convention, explicit, semantics)
        _note_unused_centres(builder, convention, semantics)
    _note_distances(builder)
    _note_twotheta(builder)
    if builder.get("detector.thickness") and builder.get("detector.attenuation") == 0.0:
        builder.note(
            f"{builder.origins['detector.thickness']} after"
            f" {builder.origins['detector.attenuation']}: a sensor that absorbs nothing gives an"
            " empty image, as in nanoBragg; give both a depth and a thickness"
        )


def _drop_vectors(builder: Builder, convention: str) -> None:
    given = [name for name in VECTOR_NAMES if builder.get(f"frame.{name}") is not None]
    for name in given:
        builder.note(
            f"{builder.origins[f'frame.{name}']}: has no effect, since -{convention.lower()}"
            f" comes later and fixes all directions"
        )
        builder.drop(f"frame.{name}")


def _note_pivot(builder: Builder, convention: str, explicit: str, semantics: str) -> None:
    own = PIVOTS[convention]
    if explicit == own:
        return
    if semantics == "c":
        text = f"-pivot {explicit}: overridden by the {convention} convention ({own}), as in C"
    else:
        text = (
            f"-pivot {explicit}: honoured; nanoBragg C overrides it under the {convention}"
            f" convention ({own}), and so does --semantics c"
        )
    builder.note(text)


def _note_unused_centres(builder: Builder, convention: str, semantics: str) -> None:
    pivot = PIVOTS[convention]
    if semantics == "spec":
        pivot = builder.get("explicit.pivot") or pivot
    unused: tuple[str, ...] = ()
    if pivot == "sample":
        unused = _ONLY_BEAM
    elif convention in ("MOSFLM", "DENZO", "ADXV"):
        unused = _ONLY_CLOSE
    for field in unused:
        origin = builder.origins.get(field, "")
        if origin.startswith("-"):
            builder.note(
                f"{origin}: has no effect under the {convention} convention with pivot {pivot}"
            )


def _note_distances(builder: Builder) -> None:
    distance = builder.origins.get("detector.distance", "")
    if builder.get("detector.close_distance") is not None and distance.startswith("-"):
        builder.note(
            f"{distance}: has no effect, {builder.origins['detector.close_distance']} prevails"
        )
    for axis in ("fast", "slow"):
        size = builder.origins.get(f"detector.size_{axis}", "")
        if size and builder.get(f"detector.pixels_{axis}") is not None:
            prevails = builder.origins[f"detector.pixels_{axis}"]
            builder.note(f"{size}: has no effect along {axis}, {prevails} prevails")


def _note_twotheta(builder: Builder) -> None:
    origin = builder.origins.get("detector.twotheta", "")
    if origin.startswith("-twotheta_axis") and builder.get("detector.twotheta") != 0.0:
        degrees = origin.split()[1]
        builder.note(
            f"{origin}: also swings the detector by its first number, {degrees} degrees, as in"
            " nanoBragg; put -twotheta after it"
        )
