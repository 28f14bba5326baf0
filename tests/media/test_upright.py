"""Tests of videos whose metadata says that they are shown turned."""

import av
import numpy as np
import pytest
import vapoursynth as vs
from conftest import moving

from vsifrnet.media.encode import Encoder, encode
from vsifrnet.media.source import open_source


def turned(source, path, degrees, *, hflip=False, vflip=False):
    """Copy the video of a file with a display matrix, counted as PyAV does."""
    with av.open(str(source)) as original, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(original.streams.video[0], opaque=True)
        stream.set_display_rotation(degrees, hflip=hflip, vflip=vflip)
        for packet in original.demux(original.streams.video[0]):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("turned") / "plain.mov"
    clip = moving(3, 64, 48).std.SetFrameProps(_SARNum=32, _SARDen=27)
    for _ in encode(clip, path, encoder=Encoder()):
        pass
    return path


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("vflip", [False, True])
def test_planes_are_turned_as_bestsource_turns_them(plain, tmp_path, degrees, hflip, vflip):
    path = turned(plain, tmp_path / "turned.mov", degrees, hflip=hflip, vflip=vflip)
    clip = open_source(path).clip
    expected = vs.core.bs.VideoSource(str(path), cachemode=0).get_frame(1)
    frame = clip.get_frame(1)
    for p in range(3):
        assert np.array_equal(np.asarray(frame[p]), np.asarray(expected[p]))
    aspect = (27, 32) if degrees % 180 else (32, 27)
    assert (frame.props["_SARNum"], frame.props["_SARDen"]) == aspect


def test_alpha_is_turned_along(tmp_path):
    source = moving(3, 64, 48, vs.YUV444P12)
    ramp = source.std.BlankClip(format=vs.GRAY12).std.ModifyFrame(
        source.std.BlankClip(format=vs.GRAY12), lambda n, f: fill(f)
    )
    path = tmp_path / "alpha.mov"
    for _ in encode(source.std.ClipToProp(ramp), path, encoder=Encoder(codec="prores_ks")):
        pass
    before = share(open_source(path).clip.get_frame(0).props["_Alpha"])
    after = open_source(turned(path, tmp_path / "turned.mov", 90)).clip.get_frame(0)
    assert (after.width, after.height) == (48, 64)
    found = share(after.props["_Alpha"])
    assert np.ptp(found) > 0.99
    assert np.abs(np.rot90(before) - found).max() < 0.01


def share(alpha):
    """The samples in [0, 1]; a copied ProRes stream may be decoded in another depth."""
    return np.asarray(alpha[0]) / (2**alpha.format.bits_per_sample - 1)


def fill(f):
    frame = f.copy()
    np.asarray(frame[0])[:] = np.linspace(0, 4095, 64).astype(np.uint16)
    return frame
