"""The table of what each container and codec keeps of a source's metadata, read by ffprobe.

``python tests/container_table.py`` writes the table into docs/containers.md.
"""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import vapoursynth as vs
from paths import ROOT

from vsifrnet.media.copy import Copies
from vsifrnet.media.encode import Encoder, encode

DOCS = ROOT / "docs" / "containers.md"

ROWS = [
    *(("mkv", codec) for codec in ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1")),
    *(("mkv", codec) for codec in ("prores_ks", "mjpeg", "png", "utvideo", "ffvhuff")),
    *(("mkv", codec) for codec in ("huffyuv", "magicyuv")),
    *(("webm", codec) for codec in ("libsvtav1", "libvpx-vp9")),
    *(("mp4", codec) for codec in ("libx264", "libx265", "libsvtav1", "libvpx-vp9")),
    *(("mov", codec) for codec in ("libx264", "libx265", "prores_ks", "png", "qtrle")),
    *(("avi", codec) for codec in ("libx264", "ffv1", "utvideo", "ffvhuff")),
    ("gif", "gif"),
    ("apng", "apng"),
]

ASPECT = Fraction(32, 27)

DISPLAY = {
    "MasteringDisplayPrimariesX": [0.68, 0.265, 0.15],
    "MasteringDisplayPrimariesY": [0.32, 0.69, 0.06],
    "MasteringDisplayWhitePointX": 0.3127,
    "MasteringDisplayWhitePointY": 0.329,
    "MasteringDisplayMinLuminance": 0.005,
    "MasteringDisplayMaxLuminance": 1000.0,
    "ContentLightLevelMax": 1000,
    "ContentLightLevelAverage": 400,
}

PROPS = {
    "_SARNum": 32,
    "_SARDen": 27,
    "_Range": vs.RANGE_FULL,
    "_FieldBased": 0,
    "_Matrix": vs.MATRIX_BT2020_NCL,
    "_Primaries": vs.PRIMARIES_BT2020,
    "_Transfer": vs.TRANSFER_ST2084,
    "_ChromaLocation": vs.CHROMA_TOP_LEFT,
}

COLUMNS = {
    "SAR": ("sample_aspect_ratio", None),
    "range": ("color_range", "pc"),
    "matrix": ("color_space", "bt2020nc"),
    "primaries": ("color_primaries", "bt2020"),
    "transfer": ("color_transfer", "smpte2084"),
    "chroma": ("chroma_location", "topleft"),
    "fields": ("field_order", "progressive"),
    "HDR10": (None, None),
    "language": (None, None),
    "stream title": (None, None),
    "title": (None, None),
}
"""ffprobe's field of the stream for each column, and its value for :data:`PROPS`."""

UNKNOWN = (None, "N/A", "unknown", "unspecified", "0:1", "reserved")

HEAD = """\
# What containers keep

What a source says about its picture, and what `vsifrnet video` writes of it, as ffprobe reads the
result: a source of 10-bit 4:2:0 with a sample aspect ratio of 32:27, full range, BT.2020, PQ,
chroma at the top left and HDR10 metadata. This table is made by `python tests/container_table.py`,
and tests/media/test_containers.py checks it.

- yes: ffprobe reads what the source says.
- no: nothing is said. The container or the codec has no place for it, or FFmpeg writes none.
- rgb: the codec stores RGB, which has neither a YUV matrix nor chroma; range is full.
- tv, bt470bg: the samples are converted to what is all that the codec knows. A JPEG's chroma is in
  the centre, and is moved there.
- SAR in WebM and GIF is rounded: the one to whole pixels of the display width, the other to 1/64.
- A source that is to be shown turned is stored upright: the planes, alpha and SAR are turned.

"""


def make_source(path: Path) -> None:
    """Write a Matroska whose stream and container have tags."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata.update(language="jpn", title="Signs")
        container.metadata["title"] = "The whole"
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        for n in range(3):
            frame.pts = n
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def make_clip() -> vs.VideoNode:
    """Return three frames of noise that carry :data:`PROPS` and HDR10 metadata."""
    blank = vs.core.std.BlankClip(
        width=64, height=48, format=vs.YUV420P10, length=3, fpsnum=24, keep=True
    )
    random = np.random.default_rng(0)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for p in range(3):
            plane = np.asarray(frame[p])
            plane[:] = random.integers(400, 600, plane.shape)
        return frame

    return blank.std.ModifyFrame(blank, fill).std.SetFrameProps(**PROPS, **DISPLAY)


def probe(path: Path) -> dict[str, Any]:
    """Return what ffprobe says of a file's first video stream, its first frame and the file."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json"]
    shown = ["-show_streams", "-show_format", "-show_frames", "-read_intervals", "%+#1"]
    out = subprocess.run([*command, *shown, str(path)], capture_output=True, check=True).stdout
    return json.loads(out)


def row(container: str, codec: str, folder: Path) -> dict[str, str]:
    """Encode, and return for each column "yes", "no", "rgb", or the value that is wrong."""
    source, path = folder / "source.mkv", folder / f"{codec}.{container}"
    if not source.exists():
        make_source(source)
    copies = Copies(path=source, video_track=0)
    for _ in encode(make_clip(), path, encoder=Encoder(codec=codec), copies=copies):
        pass
    said = probe(path)
    (stream,), frame = said["streams"], said["frames"][0]
    tags = {key.lower(): value for key, value in stream.get("tags", {}).items()}
    form = {key.lower(): value for key, value in said["format"].get("tags", {}).items()}
    sides = [*frame.get("side_data_list", []), *stream.get("side_data_list", [])]
    kinds = {side.get("side_data_type") for side in sides}
    cells = {}
    rgb = any(part in stream["pix_fmt"] for part in ("rgb", "gbr", "bgr", "pal"))
    for name, (field, wanted) in COLUMNS.items():
        if field is None:
            continue
        value = stream.get(field)
        value = frame.get(field) if value in UNKNOWN else value
        if rgb and (name in ("matrix", "chroma") or (name == "range" and value in UNKNOWN)):
            cells[name] = "rgb"
        elif value in UNKNOWN:
            cells[name] = "no"
        elif name == "SAR":
            ratio = Fraction(*map(int, value.split(":")))
            cells[name] = "yes" if abs(ratio / ASPECT - 1) < 0.015 else value
        elif value == "center" and codec == "mjpeg":
            cells[name] = "yes"
        else:
            cells[name] = "yes" if value == wanted else value
    hdr10 = {"Mastering display metadata", "Content light level metadata"} <= kinds
    cells["HDR10"] = "yes" if hdr10 else "no"
    cells["language"] = "yes" if tags.get("language") == "jpn" else "no"
    names = (tags.get("title"), tags.get("handler_name"), tags.get("name"))
    cells["stream title"] = "yes" if "Signs" in names else "no"
    cells["title"] = "yes" if form.get("title") == "The whole" else "no"
    return cells


def table(folder: Path) -> str:
    """Return all rows as Markdown."""
    lines = ["| container | codec | " + " | ".join(COLUMNS) + " |"]
    lines.append("|---|---|" + "---|" * len(COLUMNS))
    for container, codec in ROWS:
        cells = row(container, codec, folder)
        lines.append(f"| .{container} | {codec} | " + " | ".join(cells[c] for c in COLUMNS) + " |")
    return "\n".join(lines) + "\n"


def read() -> dict[tuple[str, str], dict[str, str]]:
    """Return the cells of the table in the documentation by container and codec."""
    lines = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {(r[0][1:], r[1]): dict(zip(cells[0][2:], r[2:], strict=True)) for r in cells[2:]}


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        DOCS.write_text(HEAD + table(Path(name)), encoding="utf-8")
