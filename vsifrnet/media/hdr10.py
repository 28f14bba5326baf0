"""HDR10's static metadata: from frame props (as BestSource writes them) to encoders' options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import vapoursynth as vs

__all__ = ["add"]

PARAMETERS = {
    "libx264": ("x264-params", "mastering-display", "cll"),
    "libx265": ("x265-params", "master-display", "max-cll"),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
}
"""An encoder's option of its own parameters, and these two's names in it."""


def add(codec: str, options: Mapping[str, str], props: vs.FrameProps) -> dict[str, str]:
    """``options`` of an encoder with the metadata that ``props`` have.

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
    """Chromaticities of G, B, R and white, and the luminance's range (SMPTE ST 2086).

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
    """MaxCLL and MaxFALL in cd/m2 (CTA-861.3)."""
    try:
        return f"{props['ContentLightLevelMax']},{props['ContentLightLevelAverage']}"
    except KeyError:
        return None
