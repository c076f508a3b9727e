"""Random experiments for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from nbdask.experiment import (
    Background,
    Beam,
    Crystal,
    Detector,
    Experiment,
    LabFrame,
    Sampling,
    Scan,
    SourcePoint,
    Sources,
    Spread,
    StructureFactors,
)

positive = st.floats(1e-12, 1e3)
signed = st.floats(-1e3, 1e3, allow_subnormal=False)


def unlikely(strategy: st.SearchStrategy[float], told: float) -> st.SearchStrategy[float]:
    """Leave out round numbers from some value on, which are told to be of another unit."""
    return strategy.filter(lambda x: abs(x) < told or round(x, 3) != x)


turned, spread = unlikely(signed, 6.2), unlikely(positive, 6.2)
count = st.integers(1, 50)
vector = st.tuples(signed, signed, st.floats(0.5, 1e3))
length = st.floats(1e-9, 1e-7)
angle = st.floats(1.4, 1.7)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy that may also give None."""
    return st.none() | strategy


crystals = st.builds(
    Crystal,
    cell=st.tuples(length, length, length, angle, angle, angle),
    matrix=maybe(st.just((0.01, 0.0, 0.0, 0.0, 0.02, 0.0, 0.0, 0.0, 0.03))),
    misset=maybe(st.just("random") | st.tuples(turned, turned, turned)),
    misset_seed=st.integers(-(2**31), 2**31),
    n_cells=st.tuples(count, count, count),
    size=st.tuples(signed, signed, signed),
    shape=st.sampled_from(("square", "round", "gauss", "tophat")),
    fudge=positive,
    mosaic_spread=maybe(spread),
    mosaic_domains=maybe(count),
    mosaic_seed=st.integers(),
)
reflection = st.tuples(st.integers(-20, 20), st.integers(-20, 20), st.integers(-20, 20), positive)
structures = st.builds(
    StructureFactors,
    default_F=positive,
    reflections=st.lists(reflection, max_size=3).map(tuple),
)
detectors = st.builds(
    Detector,
    pixel_size=st.floats(1e-5, 1e-3),
    pixels_fast=maybe(count),
    pixels_slow=maybe(count),
    distance=unlikely(positive, 50.0),
    close_distance=maybe(positive),
    beam_x=maybe(signed),
    org_y=maybe(signed),
    pivot=maybe(st.sampled_from(("beam", "sample"))),
    rotx=turned,
    twotheta=turned,
    pix0=maybe(vector),
    curved=st.booleans(),
    thickness=positive,
    attenuation=maybe(positive),
    thick_steps=maybe(count),
)
frames = st.builds(
    LabFrame, convention=st.just("CUSTOM"), fast=maybe(vector), spindle=maybe(vector)
) | st.builds(LabFrame, convention=st.sampled_from(("XDS", "MOSFLM", "DIALS", "ADXV", "DENZO")))
spreads = st.builds(Spread, range=maybe(positive), step=maybe(positive), count=maybe(count))
points = st.builds(
    SourcePoint,
    x=maybe(positive),
    y=maybe(signed),
    z=maybe(signed),
    weight=maybe(positive),
    wavelength=maybe(positive),
)
sources = st.builds(
    Sources,
    horizontal=spreads,
    vertical=spreads,
    dispersion=spreads,
    round=st.booleans(),
    points=st.lists(points, max_size=3).map(tuple),
    weights=st.sampled_from(("ignore", "apply")),
)
experiments = st.builds(
    Experiment,
    crystal=crystals,
    structure=structures,
    beam=st.builds(
        Beam, wavelength=unlikely(positive, 1e-3), flux=positive, polarized=st.booleans()
    ),
    frame=frames,
    detector=detectors,
    sources=sources,
    scan=st.builds(Scan, phi0=turned, osc=maybe(unlikely(positive, 1.0)), count=maybe(count)),
    background=st.builds(Background, water=positive),
    sampling=st.builds(
        Sampling,
        oversample=maybe(count),
        interpolate=maybe(st.booleans()),
        roi=maybe(st.just((0, 3, 0, 9))),
        dmin=positive,
    ),
    semantics=st.sampled_from(("spec", "c")),
)
