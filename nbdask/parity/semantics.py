"""Where nbdask and C are expected to differ, and what makes C itself uncertain."""

from __future__ import annotations

from collections.abc import Iterable

from nbdask.experiment import Experiment
from nbdask.experiment.frame import PIVOTS
from nbdask.geometry.rotation import carried_angles, phi_angles

_AGAIN = "; --semantics c computes what C does"


def expected_differences(experiment: Experiment, verbatim: bool = False) -> tuple[str, ...]:
    """Explain why the two programs give different pixels for an experiment.

    Parameters
    ----------
    experiment : Experiment
    verbatim : bool
        Whether C gets the user's own arguments (else what no flag can say is worked around).

    Returns
    -------
    tuple of str
        Empty under semantics ``c``, and wherever the two are the same.
    """
    if experiment.semantics == "c":
        return ()
    notes = []
    if carries_over(experiment):
        notes.append(
            "expected difference: the rotation has a step at exactly phi = 0, which C leaves at"
            " the orientation of the evaluation before it, and semantics spec rotates like any"
            " other" + _AGAIN
        )
    sampling = experiment.sampling
    each = [
        f"-oversample_{name}"
        for name in ("thick", "polar", "omega")
        if getattr(sampling, f"oversample_{name}")
    ]
    if each:
        notes.append(
            f"expected difference: with {', '.join(each)} C multiplies its whole running sum by"
            " the factor after every term, and semantics spec each term by its own" + _AGAIN
        )
    frame, pivot = experiment.frame, experiment.detector.pivot
    own = PIVOTS[frame.convention]
    if verbatim and frame.convention != "CUSTOM" and pivot not in (None, own):
        notes.append(
            f"expected difference: C overrides -pivot {pivot} under the {frame.convention}"
            f" convention, and semantics spec honours it" + _AGAIN
        )
    return tuple(notes)


def outside_note(outside: int) -> tuple[str, ...]:
    """Explain interpolations that left the grid of the list of amplitudes."""
    if not outside:
        return ()
    return (
        "expected difference: in some tiles amplitudes are interpolated beyond the grid of the"
        " list; C then switches interpolation off for all that follows, so that its result depends"
        " on the order of evaluation and cannot be reproduced",
    )


def carries_over(experiment: Experiment) -> bool:
    """Whether C keeps an earlier rotation at some step (one at exactly phi = 0)."""
    phi = phi_angles(experiment.scan)
    return bool((carried_angles(phi) != phi).any())


def thread_notes(experiment: Experiment, threads: int) -> tuple[str, ...]:
    """Warn where C's result depends on the timing of its threads."""
    if threads == 1:
        return ()
    reasons = []
    if carries_over(experiment):
        reasons.append(
            "every thread's first evaluation is an exception to the rotation that C carries over"
            " to phi = 0"
        )
    if experiment.structure.has_list and experiment.sampling.interpolate is not False:
        reasons.append(
            "where an interpolation leaves the list of amplitudes, it is switched off for all"
            " threads from that moment on"
        )
    return tuple(f"--c-threads {threads}: C's result may depend on timing: {r}" for r in reasons)


def unique(notes: Iterable[str]) -> tuple[str, ...]:
    """Return notes in their order, each once."""
    return tuple(dict.fromkeys(notes))
