"""``trace_pixel()``: one pixel through the reference kernel, every value kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from nbdask.errors import BackendError, InputError
from nbdask.experiment import Experiment
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.kernels.carry_over import carry_over_parts, find_first_evaluation, patch_carry_over
from nbdask.kernels.interface import Kernel, Partial, Probing, merge
from nbdask.kernels.reference import ReferenceKernel
from nbdask.kernels.registry import COMPILED, get_kernel
from nbdask.physics.shadow import beside_the_crystal
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from nbdask.trace.entries import Entry, LoopIndex, Selection, Trace, TraceError, Value
from nbdask.trace.frame import frame_values, later_values, phi_table
from nbdask.trace.quantities import QUANTITIES, TAPS
from nbdask.trace.recorder import Recorder

_log = logging.getLogger("nbdask.trace")

#: Evaluations that a trace may hold.
MOST = 100_000
#: Evaluations from which on the time is announced.
LONG = 50_000
#: Names of ``--kernels``; the first is always there.
KERNELS = ("reference", *COMPILED)

_NOT_EVALUATED = (
    "pixel slow {}, fast {} is masked or outside the region of interest: it is 0 and nothing is"
    " evaluated"
)
Parts = list[tuple[Model, StepRange]]


def trace_pixel(
    experiment: Experiment,
    slow: int,
    fast: int,
    *,
    panel: int = 0,
    chosen: dict[str, str | None] | None = None,
    taps: Sequence[str] = TAPS,
    kernels: Sequence[str] = (),
    most: int = MOST,
    report: Callable[[str], None] | None = None,
) -> Trace:
    """Evaluate one pixel with the reference kernel and keep its intermediate values.

    Parameters
    ----------
    experiment : Experiment
    slow, fast : int
        The pixel.
    panel : int
        Its panel.
    chosen : dict, optional
        ``layer``, ``sub-pixel``, ``source``, ``phi``, ``domain`` -> a number or a range such as
        ``"0:10"``.  What is not named is unrestricted.
    taps : sequence of str
        Groups of quantities that are kept.
    kernels : sequence of str
        Further kernels whose own values are shown: ``"cpu"``, ``"cuda"``.
    most : int
        Evaluations that are kept at most, in the order of the loops; the sums and the pixel are
        those of all.
    report : callable, optional
        Called with a line of text before something that takes long.

    Raises
    ------
    InputError
        A pixel that is not on the detector; an unknown selection, tap or kernel.
    BackendError
        A kernel that cannot run here.
    TraceError
        The traced pixel is not the kernel's own.
    """
    _check_taps(taps)
    columns = _kernels(kernels)
    if experiment.lattices:
        raise InputError(
            f"a trace of {len(experiment.singles)} crystals: must be of one: leave out --crystals"
        )
    model = build_model(experiment).at(panel)
    _check_pixel(model, slow, fast)
    selection = Selection.of(model, chosen or {})
    pixel = Tile(slow, slow + 1, fast, fast + 1, panel)
    phi = phi_table(experiment)
    _log.info("pixel slow %d, fast %d: %d evaluations", slow, fast, model.n_steps)
    recorder = Recorder(model, pixel, phi, selection, min(most, MOST), bool(columns))
    if report is not None and model.n_steps > LONG and is_evaluated(model, slow, fast):
        report(f"{model.n_steps} evaluations, one by one: about {model.n_steps // 3000} s")
    return _trace(experiment, recorder, columns, taps)


def _trace(
    experiment: Experiment, recorder: Recorder, columns: dict[str, Kernel], taps: Sequence[str]
) -> Trace:
    """Evaluate a recorder's pixel."""
    model, pixel, selection = recorder.model, recorder.pixel, recorder.chosen
    evaluated = is_evaluated(model, pixel.slow0, pixel.fast0)
    missing = [_NOT_EVALUATED.format(pixel.slow0, pixel.fast0)]
    notes = _run(model, pixel, recorder) if evaluated else missing
    entries = _entries(experiment, recorder, evaluated)
    if evaluated:
        for name, kernel in columns.items():
            _fill(name, kernel, model, pixel, entries)
    return Trace(
        pixel.slow0,
        pixel.fast0,
        experiment.semantics,
        model,
        tuple(entry for entry in entries if QUANTITIES[entry.name].tap in taps),
        selection,
        selection.size if evaluated else 0,
        recorder.recorded,
        recorder.last,
        tuple(columns),
        (*model.notes, *notes),
        float(entries[-1].value[0]),
        experiment.detector.panels[pixel.panel].name if experiment.n_panels > 1 else None,
        pixel.panel,
    )


def _entries(experiment: Experiment, recorder: Recorder, evaluated: bool) -> list[Entry]:
    """Return what was recorded between the geometry's values and the pixel, which is checked."""
    with np.errstate(over="ignore"):
        value = np.float32(recorder.entries[-1].value[0] if evaluated else 0.0)
    _check(recorder.model, recorder.pixel, value, evaluated)
    model, pixel = recorder.model, recorder.pixel
    more: dict[str, Value] = {}
    if evaluated:
        more = later_values(model, pixel)
        value = beside_the_crystal(model, pixel, np.full((1, 1), value), None)[0, 0]
    more["pixel"] = (float(value),)
    first, last = (
        [Entry(name, LoopIndex(), values) for name, values in named.items()]
        for named in (frame_values(experiment, model), more)
    )
    return [*first, *recorder.entries, *last]


def _check_taps(taps: Sequence[str]) -> None:
    """Refuse unknown taps."""
    unknown = [tap for tap in taps if tap not in TAPS]
    if unknown:
        raise InputError(f"--taps {unknown[0]}: must be some of {', '.join(TAPS)}")


def _check_pixel(model: Model, slow: int, fast: int) -> None:
    """Refuse pixels outside the detector."""
    n_slow, n_fast = model.n_slow, model.n_fast
    if not (0 <= slow < n_slow and 0 <= fast < n_fast):
        raise InputError(
            f"pixel slow {slow}, fast {fast}: must lie on the detector of {n_slow} (slow) x"
            f" {n_fast} (fast) pixels"
        )


def _kernels(names: Sequence[str]) -> dict[str, Kernel]:
    """Return the kernels of the further columns."""
    result = {}
    for name in names:
        if name not in KERNELS:
            raise InputError(f"--kernels {name}: must be some of {', '.join(KERNELS)}")
        if name != "reference":
            try:
                result[name] = get_kernel(name)
            except BackendError as error:
                raise BackendError(f"--kernels {name}: {error}") from error
    return result


def parts_of(model: Model, pixel: Tile) -> Parts:
    """Return the step ranges of a pixel, each with the model it is evaluated with."""
    first = find_first_evaluation(model) if model.first_axes is not None else None
    if first is not None and (first.slow, first.fast) == (pixel.slow0, pixel.fast0):
        return carry_over_parts(model, first)
    return [(model, StepRange(0, model.n_steps))]


def kernel_pixel(
    model: Model, kernel: Kernel, pixel: Tile, ranges: Sequence[StepRange] = ()
) -> np.float32:
    """Return a pixel as a run computes it.

    Parameters
    ----------
    model : Model
    kernel : Kernel
    pixel : Tile
        One pixel that is evaluated.
    ranges : sequence of StepRange
        How a run splits the steps; none: not at all.
    """
    total: Partial | None = None
    for steps in ranges or (StepRange(0, model.n_steps),):
        part = kernel.partial(model, pixel, steps, None)
        total = part if total is None else merge(total, part)
    assert total is not None
    image = kernel.finish(model, pixel, total, None)
    value: np.float32 = patch_carry_over(model, kernel, pixel, image)[0, 0]
    return value


def is_evaluated(model: Model, slow: int, fast: int) -> bool:
    """Whether region of interest and mask let a pixel be evaluated."""
    slow0, slow1, fast0, fast1 = model.roi
    if not (slow0 <= slow <= slow1 and fast0 <= fast <= fast1):
        return False
    return model.mask is None or bool(model.mask.read(slow, slow + 1, fast, fast + 1)[0, 0])


def _run(model: Model, pixel: Tile, recorder: Recorder) -> list[str]:
    """Evaluate the pixel under the eyes of the recorder; return notes."""
    kernel = ReferenceKernel(watcher=recorder)
    total: Partial | None = None
    for part, steps in parts_of(model, pixel):
        recorder.model = part
        found = kernel.partial(part, pixel, steps, None)
        total = found if total is None else merge(total, found)
        recorder.before = total
    assert total is not None
    recorder.model = model
    recorder.close()
    kernel.finish(model, pixel, total, None)
    if not total.outside:
        return []
    text = f"{total.outside} evaluations need structure factors outside the list: default_F is used"
    if model.refuse_outside:
        text += " here, while nanoBragg C goes on without interpolation and a run is refused"
    return [text]


def _check(model: Model, pixel: Tile, traced: np.float32, evaluated: bool) -> None:
    """Compare the traced pixel with the reference kernel's, bit by bit."""
    expected = kernel_pixel(model, ReferenceKernel(), pixel) if evaluated else np.float32(0.0)
    if traced.tobytes() != expected.tobytes():
        raise TraceError(
            f"the traced pixel is {float(traced)!r}, the reference kernel's {float(expected)!r}:"
            " a mistake in nbdask, please report it"
        )


def _fill(name: str, kernel: Kernel, model: Model, pixel: Tile, entries: Sequence[Entry]) -> None:
    """Put a kernel's own values next to those of the reference."""
    parts = parts_of(model, pixel)
    sums = _sums(kernel, parts, pixel, model)
    for entry in entries:
        if entry.name == "sum_sub_pixel":
            entry.others[name] = (
                sums[entry.loop_index.layer * model.oversample**2 + entry.loop_index.sub],
            )
        elif entry.name == "I":
            entry.others[name] = (sums[-1],)
        elif entry.name == "pixel":
            entry.others[name] = (float(kernel_pixel(model, kernel, pixel)),)
        elif entry.loop_index.layer >= 0:
            step = _step(model, entry.loop_index)
            part = next(part for part, steps in parts if steps.start <= step < steps.stop)
            if entry.name == "term" and not model.running_product:
                found = kernel.partial(part, pixel, StepRange(step, step + 1), None)
                entry.others[name] = (float(found.total[0, 0]),)
            elif isinstance(kernel, Probing):
                value = kernel.probe(part, pixel.slow0, pixel.fast0, step).get(entry.name)
                if value is not None:
                    entry.others[name] = value


def _sums(kernel: Kernel, parts: Parts, pixel: Tile, model: Model) -> list[float]:
    """Return a kernel's running sum after each sub-pixel, background included."""
    sums: list[float] = []
    running: Partial | None = None
    for end in range(model.n_inner, model.n_steps + 1, model.n_inner):
        for part, steps in parts:
            low, high = max(steps.start, end - model.n_inner), min(steps.stop, end)
            if low < high:
                found = kernel.partial(part, pixel, StepRange(low, high), None)
                running = found if running is None else merge(running, found)
        assert running is not None
        gain = 1.0 if running.gain is None else float(running.gain[0, 0])
        sums.append(float(running.total[0, 0]) + gain * model.background)
    return sums


def _step(model: Model, loop_index: LoopIndex) -> int:
    """Return the first flat step of a place."""
    step = loop_index.layer * model.oversample**2 + loop_index.sub
    step = step * model.n_sources + max(loop_index.source, 0)
    step = step * model.n_phi + max(loop_index.phi, 0)
    return step * model.n_domains + max(loop_index.domain, 0)
