"""Make README's picture: two source frames, and the frame between them made in several ways.

    python scripts/readme_picture.py docs/interpolated.webp

The clip is ``examples/liftoff.webm`` (footage by NASA). Only every eighth frame is kept. The frame
half-way between two kept ones is made by vsifrnet, by blending and by mvtools, and is shown beside
the real one. A part of the frames is shown at twice its size; PSNR is over the whole frame.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs
from PIL import Image, ImageDraw, ImageFont

from vsifrnet import ifrnet
from vsifrnet.evaluation import methods, metrics
from vsifrnet.evaluation.arrays import rgb_frame
from vsifrnet.files import replacing

CLIP = Path(__file__).resolve().parents[1] / "examples" / "liftoff.webm"
LABEL_HEIGHT = 26
ZOOM = 2

type Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""


def picture(clip: vs.VideoNode, n: int) -> Image.Image:
    """Return frame ``n`` as RGB."""
    rgb = clip.resize.Bicubic(format=vs.RGB24, matrix_in_s="170m")
    return Image.fromarray(np.moveaxis(rgb_frame(rgb, n), 0, -1).copy())


def labelled(frame: Image.Image, crop: Box, text: str) -> Image.Image:
    """Return a part of a frame, enlarged, with a line of text above it."""
    tile = frame.crop(crop)
    tile = tile.resize((ZOOM * tile.width, ZOOM * tile.height), Image.Resampling.BICUBIC)
    out = Image.new("RGB", (tile.width, tile.height + LABEL_HEIGHT), "white")
    out.paste(tile, (0, LABEL_HEIGHT))
    font = ImageFont.load_default(size=16)
    ImageDraw.Draw(out).text((4, LABEL_HEIGHT // 2), text, fill="black", font=font, anchor="lm")
    return out


def psnr(made: Image.Image, true: Image.Image) -> float:
    """Return the PSNR of a picture in dB."""
    return metrics.psnr(*(torch.from_numpy(np.array(x) / 255) for x in (made, true)))


def sheet(clip: vs.VideoNode, first: int, step: int, crop: Box) -> Image.Image:
    """Return six labelled tiles in two rows: the real frames, and the made ones."""
    kept = clip[first::step]
    made = {
        "blending": methods.blend(kept),
        "mvtools": methods.mvtools(kept),
        "vsifrnet": ifrnet(kept, sc=False),
    }
    left, true, right = (picture(clip, first + n) for n in (0, step // 2, step))
    tiles = [
        labelled(left, crop, "source frame"),
        labelled(true, crop, "the real frame between"),
        labelled(right, crop, "next source frame"),
    ]
    for name, doubled in made.items():
        frame = picture(doubled, 1)
        tiles.append(labelled(frame, crop, f"{name}, {psnr(frame, true):.1f} dB"))
    gap = 8
    width, height = tiles[0].size
    out = Image.new("RGB", (3 * width + 2 * gap, 2 * height + gap), "white")
    for k, tile in enumerate(tiles):
        out.paste(tile, (k % 3 * (width + gap), k // 3 * (height + gap)))
    return out


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--first", type=int, default=0, help="number of the source frame [0]")
    parser.add_argument("--step", type=int, default=8, help="frames to the next source frame [8]")
    parser.add_argument(
        "--crop",
        type=int,
        nargs=4,
        default=(440, 120, 600, 240),
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
    )
    arguments = parser.parse_args()
    clip = vs.core.bs.VideoSource(str(arguments.clip.resolve()), cachemode=0)
    made = sheet(clip, arguments.first, arguments.step, arguments.crop)
    with replacing(arguments.out) as partial:
        made.save(partial, "WEBP", quality=90)


if __name__ == "__main__":
    main()
