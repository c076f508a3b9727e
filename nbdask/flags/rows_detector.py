"""Flags of the detector and of the conventions that place it."""

from __future__ import annotations

from nbdask.flags.row import Flag

_XYZ = ("x", "y", "z")


def _place(name: str, target: str, help_text: str, pivot: str, unit: str = "mm") -> Flag:
    return Flag(
        (name,),
        help_text,
        values=("value",),
        unit=unit,
        targets=(target,),
        sets=(("pivot", pivot),),
    )


def _convention(name: str, pivot: str) -> Flag:
    return Flag(
        (f"-{name.lower()}",),
        f"the {name} convention",
        sets=(("frame.convention", name), ("pivot", pivot)),
        default="this convention" if name == "MOSFLM" else "",
        back="always",
    )


def _vector(name: str, target: str, help_text: str) -> Flag:
    return Flag(
        (name,),
        f"{help_text}; selects the CUSTOM convention",
        values=_XYZ,
        targets=(f"frame.{target}",),
        sets=(("frame.convention", "CUSTOM"),),
        default="the convention's",
    )


def _tilt(axis: str) -> Flag:
    name = f"-detector_rot{axis}"
    return Flag(
        (name,),
        f"tilt of the detector about the lab's {axis} axis, right-handed",
        values=("angle",),
        unit="degrees",
        targets=(f"detector.rot{axis}",),
        default="0",
    )


def _pixels(names: tuple[str, ...], axes: tuple[str, ...], exact: bool = False) -> Flag:
    return Flag(
        names,
        f"pixels along {' and '.join(axes)}",
        values=("n",),
        kind="whole",
        exact=exact,
        targets=tuple(f"detector.pixels_{axis}" for axis in axes),
        unset="zero",
        default="from the size",
        note="prevails over -detsize wherever it stands",
    )


def _extent(name: str, axes: tuple[str, ...], exact: bool = False) -> Flag:
    return Flag(
        (name,),
        f"size of the detector along {' and '.join(axes)}",
        values=("size",),
        unit="mm",
        exact=exact,
        targets=tuple(f"detector.size_{axis}" for axis in axes),
        default="102.4",
    )


CONVENTION = (
    *(
        _convention(name, pivot)
        for name, pivot in (
            ("MOSFLM", "beam"),
            ("XDS", "sample"),
            ("ADXV", "beam"),
            ("DENZO", "beam"),
            ("DIALS", "beam"),
        )
    ),
    _vector("-fdet_vector", "fast", "direction of increasing fast pixel index"),
    _vector("-sdet_vector", "slow", "direction of increasing slow pixel index"),
    _vector("-odet_vector", "normal", "direction from the sample to the detector, its normal"),
    _vector("-beam_vector", "beam", "direction in which the photons travel"),
    _vector("-polar_vector", "polarization", "direction of the electric field"),
    Flag(
        ("-twotheta_axis",),
        "axis of the 2theta swing; selects the CUSTOM convention",
        values=_XYZ,
        targets=("frame.twotheta_axis",),
        sets=(("frame.convention", "CUSTOM"), ("pivot", "sample")),
        special="twotheta_axis",
        default="the convention's",
        note="also takes the first number as -twotheta, unless -twotheta comes later",
    ),
    Flag(
        ("-pix0_vector", "-pix0_vector_mm"),
        "selects the CUSTOM convention; to place the detector use --pix0-vector-mm",
        values=_XYZ,
        stems=("-pix0_vector",),
        sets=(("frame.convention", "CUSTOM"),),
        special="pix0_vector",
        note="never uses the numbers",
        back="custom",
    ),
    Flag(
        ("-pivot",),
        "what stays in place when the detector is tilted: 'beam' or 'sample'",
        values=("what",),
        kind="word",
        targets=("pivot",),
        special="pivot",
        default="the convention's",
        note="overrides it under a named convention; --semantics spec honours it",
        back="pivot",
    ),
)

DETECTOR = (
    Flag(
        ("-img",),
        "SMV image whose header gives sizes, distance, wavelength, beam centre, phi",
        values=("file",),
        kind="file",
        targets=("files.img",),
        note="reads headers before all other flags, -mask first",
    ),
    Flag(
        ("-mask",),
        "SMV image; pixels that are 0 there are skipped; its header is read like that of -img",
        values=("file",),
        kind="file",
        targets=("files.mask",),
        note="takes BEAM_CENTER_Y of this header from the opposite edge",
        reads="sampling.mask",
    ),
    Flag(
        ("-pixel",),
        "edge of a pixel",
        values=("size",),
        unit="mm",
        targets=("detector.pixel_size",),
        default="0.1",
        back="always",
    ),
    _pixels(("-detpixels",), ("fast", "slow"), exact=True),
    _pixels(("-detpixels_f", "-detpixels_x"), ("fast",)),
    _pixels(("-detpixels_s", "-detpixels_y"), ("slow",)),
    _extent("-detsize", ("fast", "slow"), exact=True),
    _extent("-detsize_f", ("fast",)),
    _extent("-detsize_s", ("slow",)),
    _place("-distance", "detector.distance", "sample to detector along the beam", "beam"),
    _place(
        "-close_distance",
        "detector.close_distance",
        "sample to detector along its normal; prevails over -distance",
        "sample",
    ),
    _place("-Xbeam", "detector.beam_x", "beam centre, X of the convention", "beam"),
    _place("-Ybeam", "detector.beam_y", "beam centre, Y of the convention", "beam"),
    _place("-Xclose", "detector.close_x", "near point, X; only a default of -Xbeam", "sample"),
    _place("-Yclose", "detector.close_y", "near point, Y; only a default of -Ybeam", "sample"),
    _place("-ORGX", "detector.org_x", "near point along fast, as in XDS", "sample", "pixels"),
    _place("-ORGY", "detector.org_y", "near point along slow, as in XDS", "sample", "pixels"),
    Flag(
        ("-twotheta",),
        "swing of the detector about the 2theta axis",
        values=("angle",),
        unit="degrees",
        targets=("detector.twotheta",),
        sets=(("pivot", "sample"),),
        default="0",
        back="twotheta",
    ),
    _tilt("x"),
    _tilt("y"),
    _tilt("z"),
    Flag(
        ("-curved_det",),
        "every pixel at the same distance from the sample",
        sets=(("detector.curved", True),),
        special="curved",
        note="ignores it as the last argument",
    ),
    Flag(
        ("-point_pixel",),
        "solid angle 1/R^2: neither the pixel's size nor its obliquity",
        sets=(("detector.point_pixel", True),),
    ),
    Flag(
        ("-detector_abs", "-detector_absorb"),
        "absorption depth of the sensor; inf or 0 switches the sensor off",
        values=("depth",),
        unit="um",
        stems=("-detector_abs",),
        targets=("detector.attenuation",),
        special="detector_abs",
        default="the thickness",
        back="detector_abs",
    ),
    Flag(
        ("-detector_thick",),
        "thickness of the sensor",
        exact=True,
        values=("thickness",),
        unit="um",
        targets=("detector.thickness",),
        default="0: not modelled",
    ),
    Flag(
        ("-thicksteps", "-detector_thicksteps"),
        "layers into which the sensor is cut",
        values=("n",),
        kind="whole",
        targets=("detector.thick_steps",),
        unset="below 1",
        default="2 with a thickness",
    ),
)
