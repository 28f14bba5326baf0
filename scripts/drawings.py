"""Drawn clips with known held frames, encoded by x264, for ``detectors.py``.

A scene is a drawn background with ink lines and a face whose mouth, 40x20 pixels at 1080p, opens
and closes. Moving parts keep their share of the frame at other sizes; speeds are in pixels.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.float32]
Planes = list[npt.NDArray[np.uint8]]

FRAMES = 12
MOUTH = (0.15, 0.8, 0.4, 1.0, 0.3, 0.7)
"""Opening of the mouth in each drawing, from 0 to 1."""


@dataclass(frozen=True)
class Drawings:
    """A clip whose held frames are known."""

    name: str
    frames: list[Array]
    """Frames (H, W, 3), RGB in 0..255."""
    held: tuple[bool, ...]
    """Whether the frames on both sides of each gap are one drawing."""


class Scene:
    """A drawing that can be shown from a moving camera."""

    def __init__(self, picture: Path, size: tuple[int, int], seed: int) -> None:
        random = np.random.default_rng(seed)
        self.width, self.height = width, height = size
        rgb = np.asarray(Image.open(picture).convert("RGB"), np.float32)
        factor = max(1.1 * width / rgb.shape[1], 1.1 * height / rgb.shape[0])
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        self.sheet = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=method)
        corner = np.array([self.sheet.shape[1], self.sheet.shape[0]])
        for _ in range(12):
            start, end = (tuple(map(int, random.uniform(0, 1, 2) * corner)) for _ in range(2))
            ink = tuple(random.uniform(0, 80, 3))
            cv2.line(self.sheet, start, end, ink, int(random.integers(1, 4)), cv2.LINE_AA)
        face = random.uniform(0.35, 0.65, 2) * corner
        radius = 0.2 * height
        centre, axes = tuple(map(int, face)), (int(0.8 * radius), int(radius))
        skin = tuple(random.uniform([170, 130, 110], [250, 210, 190]))
        cv2.ellipse(self.sheet, centre, axes, 0, 0, 360, skin, -1, cv2.LINE_AA)
        cv2.ellipse(self.sheet, centre, axes, 0, 0, 360, (30, 20, 20), 3, cv2.LINE_AA)
        self.mouth = face + np.array([0, 0.5 * radius])

    def softened(self) -> Scene:
        """Blur the sheet so that edges become about four pixels wide; return the scene."""
        self.sheet = cv2.GaussianBlur(self.sheet, (0, 0), 1.5)
        return self

    def show(
        self, x: float = 0, y: float = 0, zoom: float = 1, mouth: float | None = None
    ) -> Array:
        """Return the frame that the camera sees at (x, y) pixels from the middle of the sheet."""
        middle = np.array([self.sheet.shape[1], self.sheet.shape[0]]) / 2 + [x, y]
        corner = np.array([self.width, self.height]) / 2 - zoom * middle
        matrix = np.array([[zoom, 0, corner[0]], [0, zoom, corner[1]]])
        size = self.width, self.height
        frame = cv2.warpAffine(
            self.sheet, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
        if mouth is not None:
            at = tuple(int(v) for v in self.mouth + corner)
            scale = self.height / 1080
            axes = max(1, round(20 * scale)), max(1, round(10 * scale * mouth))
            cv2.ellipse(frame, at, axes, 0, 0, 360, (120, 40, 40), -1, cv2.LINE_AA)
            cv2.ellipse(frame, at, axes, 0, 0, 360, (40, 20, 20), 1, cv2.LINE_AA)
        return np.clip(frame, 0, 255)


def drawings(picture: Path, size: tuple[int, int], seed: int) -> Iterator[Drawings]:
    """Yield clips of one scene with held frames, and with motion that looks nearly still."""
    random = np.random.default_rng(seed)
    scene = Scene(picture, size, seed)
    soft = Scene(picture, size, seed).softened()
    for hold in (2, 3):
        drawing = [t // hold for t in range(FRAMES)]
        held = tuple(a == b for a, b in itertools.pairwise(drawing))
        mouths = [scene.show(mouth=MOUTH[d]) for d in drawing]
        yield Drawings("held, mouth moves", mouths, held)
        for grain in (2, 5):
            noisy = [grained(frame, grain, random) for frame in mouths]
            yield Drawings(f"held, mouth moves, grain {grain}", noisy, held)
        steps = random.uniform(-6, 6, (FRAMES, 2))
        yield Drawings("held, camera jumps", [scene.show(*steps[d]) for d in drawing], held)
    moving = (False,) * (FRAMES - 1)
    times = range(FRAMES)
    yield Drawings("pan 0.25", [scene.show(0.25 * t) for t in times], moving)
    yield Drawings("pan 0.25, soft", [soft.show(0.25 * t) for t in times], moving)
    noisy = [grained(soft.show(0.25 * t), 5, random) for t in times]
    yield Drawings("pan 0.25, soft, grain 5", noisy, moving)
    yield Drawings("zoom 0.06%, soft", [soft.show(zoom=1 + 0.0006 * t) for t in times], moving)
    for length in (24, 96):
        faded = [soft.show() * (1 - (t + length / 4) / length) for t in times]
        yield Drawings(f"fade over {length} frames, soft", faded, moving)


def grained(frame: Array, deviation: float, random: np.random.Generator) -> Array:
    """Add grey Gaussian grain, which is new in each frame."""
    grain = random.normal(size=(*frame.shape[:2], 1)).astype(np.float32) * deviation
    return np.clip(frame + grain, 0, 255)


def encoded(frames: list[Array], crf: int, preset: str = "medium") -> list[Planes]:
    """Encode frames by x264 and return the decoded planes of each, YUV420P8."""
    buffer = io.BytesIO()
    height, width = frames[0].shape[:2]
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": preset}
        for frame in frames:
            rgb = av.VideoFrame.from_ndarray(np.round(frame).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(rgb.reformat(format="yuv420p")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        decoded = [np.asarray(frame.to_ndarray(), np.uint8) for frame in container.decode(video=0)]
    chroma = (height // 2) * (width // 2)
    return [
        [
            picture[:height],
            picture[height:].reshape(-1)[:chroma].reshape(height // 2, width // 2),
            picture[height:].reshape(-1)[chroma:].reshape(height // 2, width // 2),
        ]
        for picture in decoded
    ]
