"""``--background``, ``--beamstop`` and ``--shadow``: what is beside the crystal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbdask.background.request import beamstop_of, materials_of
from nbdask.flags.builder import Builder
from nbdask.inputs.checksum import sha256_of


def set_materials(builder: Builder, texts: Sequence[str], use: Callable[[str], str]) -> None:
    """Set the amorphous materials.

    Parameters
    ----------
    builder : Builder
    texts : sequence of str
        See :func:`nbdask.background.request.materials_of`.
    use : callable
        Makes the absolute path of a file.
    """
    if not texts:
        return
    materials, notes = materials_of(texts, use)
    builder.set("background.materials", materials, "--background " + " ".join(texts))
    for note in notes:
        builder.note(note)


def set_shadows(
    builder: Builder, beamstop: str | None, shadow: str | None, use: Callable[[str], str]
) -> None:
    """Set beam stop and shadows; see :func:`nbdask.background.request.beamstop_of`."""
    if beamstop is not None:
        builder.set("background.beamstop", beamstop_of(beamstop), f"--beamstop {beamstop}")
    if shadow is not None:
        path, origin = use(shadow), f"--shadow {shadow}"
        builder.set("background.shadow", path, origin)
        builder.set("background.shadow_sha256", sha256_of(path), origin)
