"""The table of the filter's arguments: types, defaults, choices and descriptions.

The command line's help is made from it. It imports nothing heavy, so that ``vsifrnet --help`` does
not load PyTorch. Tests compare it with the filter's signature and with the README's table.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = [
    "ARGUMENTS",
    "AUTO",
    "DUP_MODES",
    "HALVINGS",
    "MAX_STREAMS",
    "PRECISIONS",
    "SCALES",
    "SC_MODES",
    "Argument",
]

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
SC_MODES = ("hold", "nearest", "blend")
DUP_MODES = ("keep", "bridge")
PRECISIONS = ("auto", "fp32", "fp16", "bf16")
MAX_STREAMS = 32

AUTO: Literal["auto"] = "auto"
"""The default scale: 1, and beside it the motion of whole layers; see docs/motion.md."""

HALVINGS = (2, 4, 8, 16)
"""Denominators of t that repeated halving reaches, for weights that ignore t."""


class Argument(NamedTuple):
    """One argument of the filter."""

    type: str
    """The accepted types, as the README names them."""
    default: object
    """The default value in the filter's signature."""
    text: str
    """The range, unit or accepted values, and what the argument does."""
    choices: tuple[str | float, ...] | None = None
    """All accepted values, where these can be listed."""


ARGUMENTS: dict[str, Argument] = {
    "multi": Argument("int, Fraction", 2, "1/100 to 1000; output frames per source frame"),
    "fps_num": Argument("int", None, "1 or more; target frame rate in place of multi"),
    "fps_den": Argument("int", None, "1 or more; target frame rate in place of multi"),
    "model": Argument(
        "name, path",
        None,
        "a name of vsifrnet models list, or a .safetensors, .pth or ncnn file; None: ifrnet_s",
    ),
    "scale": Argument(
        "float, str",
        AUTO,
        "0.25, 0.5, 1, 2, 4: resolution of the flow relative to the picture; auto: 1, with exact "
        "motion for layers that move as a whole (pans, rolls of lettering, zooms)",
        (AUTO, *SCALES),
    ),
    "ensemble": Argument("bool", False, "average four mirrored runs, for four times the work"),
    "sc": Argument("bool", True, "make no frames across scene changes"),
    "sc_threshold": Argument("float", 0.35, "above 0, up to 1; higher finds fewer scene changes"),
    "sc_mode": Argument(
        "str",
        "hold",
        'what a scene change shows: "hold" (left frame), "nearest", "blend"',
        SC_MODES,
    ),
    "dup_mode": Argument("str", "keep", '"bridge" moves held drawings in even steps', DUP_MODES),
    "dup_max": Argument(
        "int", 3, "1 to 8 frames; longest hold that is a drawing and not a still picture"
    ),
    "dup_threshold": Argument(
        "float",
        2.5,
        "0 to 255 8-bit steps; change within 32x32 pixels from which a frame is another drawing",
    ),
    "timecodes": Argument(
        "path, times in s", None, "times of a clip of variable frame rate, for a target rate"
    ),
    "matrix": Argument(
        "str, int",
        None,
        "as in core.resize, for YUV without _Matrix; None: 709 above 576 lines, else 170m",
    ),
    "device": Argument(
        "str, int", None, '"cpu", "cuda", "cuda:1", 1; None: CUDA if there is one, else the CPU'
    ),
    "precision": Argument(
        "str",
        "auto",
        '"fp32", "fp16", "bf16"; auto: fp16 on CUDA, bf16 on a CPU that multiplies it, else fp32',
        PRECISIONS,
    ),
    "num_streams": Argument(
        "int", None, "1 to 32; pairs of frames interpolated at once; None: 2 (1 on one core)"
    ),
    "auto_download": Argument(
        "bool", False, "download a named model that is not on this machine yet"
    ),
}
"""The filter's keyword arguments, in the order of its signature."""
