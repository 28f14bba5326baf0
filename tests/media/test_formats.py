"""Tests of encoders that have few pixel formats."""

import av
import numpy as np
import pytest
import vapoursynth as vs
from conftest import moving

from vsifrnet.errors import EncodeError
from vsifrnet.media.encode import Encoder, encode
from vsifrnet.media.formats import storable

core = vs.core


def written(clip, path, codec):
    """Encode, and return the first frame as FFmpeg decodes it and its stream's codec."""
    for _ in encode(clip, path, encoder=Encoder(codec=codec)):
        pass
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return next(container.decode(stream)), stream.codec_context.name


@pytest.mark.parametrize(
    ("format", "codec", "stored"),
    [
        *((vs.YUV420P8, codec, "rgb24") for codec in ("png", "apng", "qtrle")),
        (vs.YUV420P8, "gif", "rgb8"),
        (vs.YUV420P10, "png", "rgb48be"),
        (vs.GRAY8, "png", "gray"),
        (vs.YUV420P8, "huffyuv", "yuv422p"),
        (vs.YUV420P8, "utvideo", "yuv420p"),
        (vs.YUV420P10, "hevc_qsv", "p010le"),
        (vs.YUV420P8, "libx264rgb", "bgr24"),
        (vs.YUV422P12, "rawvideo", "yuv422p12le"),
    ],
)
def test_no_components_are_lost(format, codec, stored):
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    assert storable(moving(1, 64, 48, format), codec).pix_fmt == stored


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        *((codec, ".mkv") for codec in ("png", "utvideo", "ffvhuff", "huffyuv", "magicyuv")),
        *((codec, ".mkv") for codec in ("mjpeg", "libx264rgb", "ffv1")),
        *(("png", ".mov"), ("qtrle", ".mov"), ("apng", ".apng"), ("gif", ".gif")),
        *(("utvideo", ".avi"), ("rawvideo", ".avi")),
    ],
)
def test_the_picture_comes_through(codec, suffix, tmp_path):
    clip = moving(3, 64, 48, vs.YUV420P8).std.SetFrameProps(_Matrix=6, _Range=0)
    frame, name = written(clip, tmp_path / f"out{suffix}", codec)
    assert name == {"libx264rgb": "h264"}.get(codec, codec)
    shown = core.resize.Bicubic(clip, format=vs.RGB24).get_frame(0)
    expected = np.stack([np.asarray(shown[p]) for p in range(3)], axis=-1).astype(float)
    # ITU-R BT.601, which FFmpeg takes where an AVI cannot say so.
    found = frame.reformat(format="rgb24", src_colorspace="itu601").to_ndarray().astype(float)
    tolerance = {"gif": 25, "mjpeg": 8}.get(codec, 4)
    assert np.abs(found - expected).mean() < tolerance


@pytest.mark.parametrize(
    ("codec", "suffix", "format"),
    [
        ("ffv1", ".mkv", vs.YUV420P8),
        ("ffv1", ".mkv", vs.RGB24),
        ("png", ".mkv", vs.RGB24),
        ("utvideo", ".mkv", vs.RGB24),
        ("prores_ks", ".mov", vs.YUV444P10),
        ("qtrle", ".mov", vs.RGB24),
    ],
)
def test_alpha_is_stored(codec, suffix, format, tmp_path):
    clip = moving(2, 64, 48, format)
    ramp = core.std.BlankClip(clip, format=vs.GRAY8, keep=True)

    def fill(n, f):
        frame = f.copy()
        np.asarray(frame[0])[:] = np.arange(64) * 4
        return frame

    path = tmp_path / f"out{suffix}"
    written(clip.std.ClipToProp(ramp.std.ModifyFrame(ramp, fill)), path, codec)
    alpha = core.bs.VideoSource(str(path), cachemode=0).get_frame(1).props["_Alpha"]
    peak = 2**alpha.format.bits_per_sample - 1
    assert np.abs(np.asarray(alpha[0]) / peak * 255 - np.arange(64) * 4).max() <= 1


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "mjpeg"])
def test_alpha_that_cannot_be_stored_is_refused(codec, tmp_path):
    clip = moving(2, 64, 48)
    path = tmp_path / "out.mkv"
    for level, refused in ((255, False), (254, True)):
        alpha = core.std.BlankClip(clip, format=vs.GRAY8, color=level)
        if not refused:
            written(clip.std.ClipToProp(alpha), path, codec)
            path.unlink()
            continue
        with pytest.raises(EncodeError, match=f"transparent places, which {codec} cannot store"):
            written(clip.std.ClipToProp(alpha), path, codec)
        assert list(tmp_path.iterdir()) == []


def test_odd_dimensions_are_refused_by_name(tmp_path):
    clip = core.std.BlankClip(format=vs.YUV444P8, width=65, height=49, length=2)
    with pytest.raises(EncodeError, match=r"needs even dimensions, and the video is 65x49: choose"):
        storable(clip, "libsvtav1")
    assert storable(clip, "libx265").pix_fmt == "yuv444p"
