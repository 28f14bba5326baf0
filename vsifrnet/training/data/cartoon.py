"""A short cartoon with eased, non-rigid motion, for tests; it can be drawn at any time.

    python -m vsifrnet.training.data.cartoon cartoon.mkv

It contains no training picture. Limbs turn about their joints, hair bends, and a ball is squashed
and stretched, all eased in and out. The background pans slowly, figures have thin dark outlines,
and a subtitle stands still. Each frame is drawn four times as large and reduced, so that outlines
move by fractions of a pixel.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vsifrnet.training.data.sample import Pixels

__all__ = ["draw", "write_video"]

WIDTH, HEIGHT, FRAMES = 640, 360, 120
SCALE = 4
INK = (38, 30, 44)


def ease(x: float) -> float:
    """Return smoothstep of ``x``, which goes from 0 to 1 with no speed at either end."""
    x = min(1.0, max(0.0, x))
    return x * x * (3 - 2 * x)


def swing(time: float, period: float, shift: float = 0.0) -> float:
    """Return the value at ``time`` of a periodic swing between -1 and 1, at rest at both ends."""
    phase = (time / period + shift) % 1.0
    return 2 * ease(2 * phase) - 1 if phase < 0.5 else 1 - 2 * ease(2 * phase - 1)


def draw(time: float) -> Pixels:
    """Draw the frame (HEIGHT, WIDTH, 3) at ``time``, counted in frames."""
    canvas = np.zeros((HEIGHT * SCALE, WIDTH * SCALE, 3), np.uint8)
    ramp = np.linspace(0, 1, HEIGHT * SCALE)[:, None]
    canvas[:] = ((1 - ramp) * (120, 178, 232) + ramp * (244, 222, 196))[:, None].astype(np.uint8)
    _hills(canvas, pan=1.1 * time)
    _ball(canvas, time)
    _girl(canvas, time)
    _grass(canvas, pan=90 * ease(time / FRAMES) * 3)
    return cv2.resize(_subtitle(canvas), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(
        np.uint8
    )


def write_video(path: Path) -> None:
    """Write all frames as a lossless video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(draw(number), format="rgb24")))
        container.mux(stream.encode(None))


Points = NDArray[np.float64]


def _fill(canvas: Pixels, points: Points, colour: tuple[int, int, int], line: float = 2.0) -> None:
    """Draw a closed shape with a dark outline; points are in picture pixels."""
    corners = np.rint(points * SCALE).astype(np.int32)
    cv2.fillPoly(canvas, [corners], colour, cv2.LINE_AA)
    if line:
        cv2.polylines(canvas, [corners], True, INK, round(line * SCALE), cv2.LINE_AA)


def _curve(*anchors: tuple[float, float], count: int = 24) -> Points:
    """Return points on the Bezier curve of any number of anchors."""
    s = np.linspace(0, 1, count)[:, None]
    degree = len(anchors) - 1
    terms = [
        math.comb(degree, i) * s**i * (1 - s) ** (degree - i) * np.array(anchor)
        for i, anchor in enumerate(anchors)
    ]
    return np.asarray(sum(terms))


def _ribbon(middle: Points, start: float, end: float) -> Points:
    """Return the outline of a ribbon of changing width along a curve, for limbs and hair."""
    along = np.gradient(middle, axis=0)
    normal = np.stack((-along[:, 1], along[:, 0]), axis=-1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    half = np.linspace(start, end, len(middle))[:, None] / 2
    return np.concatenate((middle + half * normal, (middle - half * normal)[::-1]))


def _ellipse(x: float, y: float, a: float, b: float, angle: float = 0.0) -> Points:
    s = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    u, v = a * np.cos(s), b * np.sin(s)
    c, d = math.cos(angle), math.sin(angle)
    return np.stack((x + c * u - d * v, y + d * u + c * v), axis=-1)


def _hills(canvas: Pixels, pan: float) -> None:
    x = np.linspace(-10, WIDTH + 10, 200)
    for depth, colour in ((0.5, (150, 190, 150)), (1.0, (112, 168, 104))):
        y = 235 + 30 * depth + 18 * np.sin((x + pan * depth) / 60 / depth + 2 * depth)
        ends = np.array([[WIDTH + 10.0, HEIGHT + 9.0], [-10.0, HEIGHT + 9.0]])
        _fill(canvas, np.concatenate((np.stack((x, y), axis=-1), ends)), colour, 1.5)
        for tree in range(14):
            left = (tree * 97.0 - pan * depth) % (WIDTH + 120) - 60
            top = 232 + 26 * depth + 18 * math.sin((left + pan * depth) / 60 / depth + 2 * depth)
            _fill(canvas, _ellipse(left, top - 14, 9 + 4 * depth, 17), (74, 122, 86), 1.2)


def _ball(canvas: Pixels, time: float) -> None:
    phase = (time % 30) / 30
    height = 4 * phase * (1 - phase)
    squash = math.exp(-(((phase + 0.5) % 1 - 0.5) ** 2) / 0.004)
    stretch = 1 + 0.18 * (1 - height) - 0.45 * squash
    x = 470 + 90 * swing(time, 120)
    y = 300 - 150 * height - 26 * stretch
    _fill(canvas, _ellipse(x, y, 26 / stretch, 26 * stretch), (226, 74, 62))
    turn = time / 9
    stripe = _ellipse(x + 10 * math.cos(turn), y + 10 * math.sin(turn) * stretch, 8, 4, turn)
    _fill(canvas, stripe, (250, 230, 120), 1.2)


def _girl(canvas: Pixels, time: float) -> None:
    lean = 10 * swing(time, 48)
    hip, neck = (215.0, 265.0), (215 + lean, 190 + 3 * swing(time, 24))
    for side in (-1, 1):
        step = 16 * side * swing(time, 32, 0.25)
        foot = (hip[0] + step + 14 * side, 338 - max(0.0, 10 * side * swing(time, 32)))
        knee = (hip[0] + 20 * side + 0.8 * step, 304)
        leg = _curve((hip[0] + 9 * side, hip[1]), knee, foot)
        _fill(canvas, _ribbon(leg, 17, 11), (72, 84, 150))
    skirt = [(hip[0] - 18, 238), (hip[0] - 40 - lean, 292), (hip[0] + 40 - lean, 292)]
    _fill(canvas, np.array([*skirt, (hip[0] + 18, 238)], dtype=np.float64), (200, 66, 92))
    body = _curve((hip[0], hip[1] - 8), ((hip[0] + neck[0]) / 2 - lean / 2, 226), neck)
    _fill(canvas, _ribbon(body, 36, 28), (244, 240, 230))
    head = (neck[0] + 0.4 * lean, neck[1] - 34)
    for strand in range(7):
        sway = 22 * swing(time, 36, 0.04 * strand) + 5 * (strand - 3)
        root = (head[0] - 26 + 8.5 * strand, head[1] - 14)
        middle = (root[0] + 0.3 * sway, root[1] + 45)
        end = (root[0] + sway * 1.7, root[1] + 88 + 5 * (strand % 3))
        _fill(canvas, _ribbon(_curve(root, middle, end), 15, 2), (92, 58, 40), 1.5)
    _fill(canvas, _ellipse(*head, 27, 30, 0.02 * lean), (250, 216, 190))
    fringe = _ellipse(head[0], head[1] - 17, 29, 17, 0.02 * lean)
    _fill(canvas, fringe, (108, 68, 46), 1.5)
    lid = 1.0 if time % 50 > 4 else 0.15 + 0.85 * abs(time % 50 - 2) / 2
    for side in (-1, 1):
        eye = _ellipse(head[0] + 11 * side + 0.2 * lean, head[1] + 5, 4, 6 * lid)
        _fill(canvas, eye, (40, 60, 90), 1.0)
    mouth = _ellipse(head[0] + 0.2 * lean, head[1] + 19, 6, 2 + 2 * (1 + swing(time, 14)))
    _fill(canvas, mouth, (170, 60, 60), 1.0)
    for side, period, shift in ((-1, 48, 0.1), (1, 20, 0.0)):
        shoulder = (neck[0] + 14 * side, neck[1] + 10)
        up = 0.5 + (1.1 if side == 1 else 0.25) * swing(time, period, shift)
        elbow = (shoulder[0] + 34 * side * math.cos(up), shoulder[1] - 34 * math.sin(up))
        bend = up + side * 0.0 + 0.7 * swing(time, period, shift - 0.12)
        hand = (elbow[0] + 32 * side * math.cos(bend), elbow[1] - 32 * math.sin(bend))
        arm = _curve(shoulder, elbow, elbow, hand)
        _fill(canvas, _ribbon(arm, 12, 9), (244, 240, 230))
        _fill(canvas, _ellipse(*hand, 7, 6, bend), (250, 216, 190))


def _grass(canvas: Pixels, pan: float) -> None:
    rng = np.random.default_rng(5)
    for blade in range(150):
        x = (blade * 13.7 - pan) % (WIDTH + 80) - 40
        height, bow = rng.uniform(12, 34), rng.uniform(-9, 9)
        shape = _ribbon(
            _curve((x, HEIGHT + 4), (x, HEIGHT - height / 2), (x + bow, HEIGHT - height)), 7, 1
        )
        shade = rng.integers(0, 40)
        _fill(canvas, shape, (48 + int(shade), 110 + int(shade), 52), 1.0)


def _subtitle(canvas: Pixels) -> Pixels:
    for colour, weight in ((INK, 7), ((255, 255, 255), 3)):
        cv2.putText(
            canvas,
            "It never comes down where I want it to.",
            (104 * SCALE, 322 * SCALE),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.72 * SCALE,
            colour,
            weight * SCALE // 2,
            cv2.LINE_AA,
        )
    return canvas


def main() -> None:
    """Handle the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    write_video(parser.parse_args().out)


if __name__ == "__main__":
    main()
