"""The ffmpeg program that makes inputs for tests: the system's, or the one in a wheel."""

from __future__ import annotations

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
