"""HDR10's static metadata, from frame props (as BestSource writes them).

It goes into encoders' options, and into the track headers of Matroska.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from vsifrnet.media import ebml

__all__ = ["add", "matroska"]

# Element IDs of RFC 9559; those of the mastering display's values follow one another.
MAX_CLL, MAX_FALL, MASTERING = b"\x55\xbc", b"\x55\xbd", b"\x55\xd0"

PARAMETERS = {
    "libx264": ("x264-params", "mastering-display", "cll"),
    "libx265": ("x265-params", "master-display", "max-cll"),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
}
"""Per encoder: its option for parameters, and the parameters' names for display and light."""


def add(codec: str, options: Mapping[str, str], props: Mapping[str, Any]) -> dict[str, str]:
    """Return ``options`` of an encoder with the HDR10 metadata of ``props``.

    Parameters that the user has set stay; an encoder that has none of these stays as it is.
    """
    result = dict(options)
    if codec not in PARAMETERS:
        return result
    option, display_name, light_name = PARAMETERS[codec]
    parameters = result[option].split(":") if option in result else []
    given = {parameter.split("=")[0] for parameter in parameters}
    for name, value in (
        (display_name, _display(props, in_steps=codec != "libsvtav1")),
        (light_name, _light(props)),
    ):
        if value is not None and name not in given:
            parameters.append(f"{name}={value}")
    if parameters:
        result[option] = ":".join(parameters)
    return result


def _display(props: Mapping[str, Any], *, in_steps: bool) -> str | None:
    """Return the mastering display: G, B, R and white points, and its luminance (SMPTE ST 2086).

    ``in_steps`` of 0.00002 and 0.0001 cd/m2, else as they are.
    """
    try:
        xs, ys = props["MasteringDisplayPrimariesX"], props["MasteringDisplayPrimariesY"]
        points = {name: (float(xs[i]), float(ys[i])) for name, i in (("G", 1), ("B", 2), ("R", 0))}
        points["WP"] = (
            float(props["MasteringDisplayWhitePointX"]),
            float(props["MasteringDisplayWhitePointY"]),
        )
        luminance = (
            float(props["MasteringDisplayMaxLuminance"]),
            float(props["MasteringDisplayMinLuminance"]),
        )
    except KeyError:
        return None
    if in_steps:
        parts = [f"{k}({round(x / 0.00002)},{round(y / 0.00002)})" for k, (x, y) in points.items()]
        parts.append(f"L({round(luminance[0] / 0.0001)},{round(luminance[1] / 0.0001)})")
    else:
        parts = [f"{k}({x:.5f},{y:.5f})" for k, (x, y) in points.items()]
        parts.append(f"L({luminance[0]:.4f},{luminance[1]:.4f})")
    return "".join(parts)


def _light(props: Mapping[str, Any]) -> str | None:
    """Return MaxCLL and MaxFALL in cd/m2 (CTA-861.3)."""
    try:
        return f"{props['ContentLightLevelMax']},{props['ContentLightLevelAverage']}"
    except KeyError:
        return None


def matroska(props: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return the elements of Matroska's Colour that hold the metadata, by their IDs."""
    elements = {}
    if _light(props) is not None:
        elements[MAX_CLL] = ebml.number(props["ContentLightLevelMax"])
        elements[MAX_FALL] = ebml.number(props["ContentLightLevelAverage"])
    if _display(props, in_steps=False) is not None:
        points = zip(
            props["MasteringDisplayPrimariesX"], props["MasteringDisplayPrimariesY"], strict=True
        )
        values = [value for point in points for value in point]
        values += [props[f"MasteringDisplayWhitePoint{axis}"] for axis in "XY"]
        values += [props[f"MasteringDisplay{end}Luminance"] for end in ("Max", "Min")]
        elements[MASTERING] = b"".join(
            ebml.element(bytes((0x55, 0xD1 + i)), struct.pack(">d", value))
            for i, value in enumerate(values)
        )
    return elements
