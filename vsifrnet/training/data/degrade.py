"""Degradation of pictures by noise, JPEG and real video codecs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from vsifrnet.training.data.sample import Pixels

__all__ = ["CODECS", "add_noise", "jpeg", "through_codec"]

CODECS: dict[str, dict[str, tuple[int, int]]] = {
    "libx264": {"crf": (12, 30)},
    "mpeg2video": {"qscale": (2, 9)},
    "libvpx": {"qmin": (6, 44)},
}
"""Each codec's quality setting, with its range from good to bad."""

RATE = 25
"""Frames per second of the encoded videos."""


def add_noise(picture: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Add Gaussian noise of deviation ``sigma`` (in 1/255): grey or coloured, fine or soft."""
    height, width, _ = picture.shape
    channels = 1 if rng.random() < 0.5 else 3
    noise = rng.standard_normal((height, width, channels), dtype=np.float32)
    if rng.random() < 0.4:
        # Grain spans several pixels. The blur lowers the deviation, so divide by it.
        soft = cv2.GaussianBlur(noise, (0, 0), 0.8).reshape(height, width, channels)
        noise = (soft / soft.std()).astype(np.float32)
    coloured = cv2.merge((noise,) * 3) if channels == 1 else noise
    noisy = cv2.add(picture, coloured * np.float32(sigma), dtype=cv2.CV_8U)
    return np.asarray(noisy, dtype=np.uint8)


def jpeg(picture: Pixels, quality: int) -> Pixels:
    """Compress a picture as JPEG of ``quality`` (0 to 100), and decode it."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def through_codec(
    pictures: Sequence[Pixels], codec: str, quality: int, *, last: int
) -> list[Pixels]:
    """Encode pictures of the same even size as a video; return the ``last`` ones, decoded.

    ``quality`` is a value of the codec's setting in ``CODECS``. One thread encodes, so that the
    result is the same on every machine.
    """
    height, width, _ = pictures[0].shape
    encoder = cast(av.VideoCodecContext, av.CodecContext.create(codec, "w"))
    encoder.width, encoder.height = width, height
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, RATE)
    encoder.framerate = Fraction(RATE)
    encoder.thread_count = 1
    (setting,) = CODECS[codec]
    if setting == "qscale":
        encoder.options = {"qmin": str(quality), "qmax": str(quality), "g": "12", "bf": "2"}
    elif codec == "libvpx":
        # A positive cpu-used would adapt the result to the machine's speed and load.
        encoder.options = {"qmin": str(quality), "qmax": str(quality), "cpu-used": "-4"}
        encoder.options |= {"deadline": "realtime", "b": "20M"}
    else:
        encoder.options = {"crf": str(quality), "preset": "veryfast"}
    decoder = cast(av.VideoCodecContext, av.CodecContext.create(encoder.codec.canonical_name, "r"))
    decoder.thread_count = 1

    # PyAV's default would start a thread per core for each small picture.
    to_yuv, to_rgb = VideoReformatter(), VideoReformatter()
    frames = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = to_yuv.reformat(frame, format=encoder.pix_fmt, threads=1)
        frame.pts = number
        for packet in encoder.encode(frame):
            frames += decoder.decode(packet)
    for packet in encoder.encode(None):
        frames += decoder.decode(packet)
    frames += decoder.decode(None)
    decoded = [to_rgb.reformat(frame, format="rgb24", threads=1) for frame in frames[-last:]]
    return [np.asarray(frame.to_ndarray(), dtype=np.uint8) for frame in decoded]
