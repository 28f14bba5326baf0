"""Tests of ``vsifrnet bench clips`` on a small clip that is made here."""

import json

import av
import numpy as np
import pytest
import vapoursynth as vs
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from vsifrnet.cli import main
from vsifrnet.evaluation import clips, methods

WIDTH, HEIGHT = 96, 64


def waves(k, seed):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rng = np.random.default_rng(seed)
    field = sum(np.sin(a * (x - 3 * k) + b * y) for a, b in rng.uniform(0.05, 0.4, (5, 2)))
    return (field * 20 + 128)[..., None].repeat(3, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Twelve frames of one scene, four of which stand still, then eight of another."""
    path = tmp_path_factory.mktemp("clips") / "waves.mkv"
    moments = [0, 1, 2, 3, 4, 4, 4, 4, 5, 6, 7, 8]
    stripes = (np.indices((HEIGHT, WIDTH))[1] // 24 % 2 * 180).astype(np.uint8)[..., None]
    pictures = [waves(k, 0) for k in moments] + [waves(k, 1) // 4 + stripes for k in range(8)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_measures_the_same_frames_and_leaves_out_cuts_and_stills(clip):
    used = methods.installed()
    assert {"blend", "mvtools"} <= set(used)
    opened = clips.open_clip(clip, used, count=50)
    # 5 lies in a picture that stands still, 11 between two scenes.
    assert [number for number, _ in opened.places] == [1, 3, 7, 9, 13, 15, 17]
    for frame in opened.frames():
        left, true, right = (np.asarray(t) * 255 for t in (frame.left, frame.true, frame.right))
        blend = np.asarray(frame.made["blend"]) * 255
        assert np.abs(blend - (left + right) / 2).max() <= 2
        (score,) = (s for s in frame.scores("waves") if s.method == "blend")
        assert score.psnr == pytest.approx(peak_signal_noise_ratio(true, blend, data_range=255))
    assert len(clips.open_clip(clip, used, count=3).places) <= 3
    late = clips.open_clip(clip, used, count=50, first=12)
    assert [number for number, _ in late.places] == [13, 15, 17]


def test_every_method_keeps_the_even_frames_in_place(clip):
    for name, method in methods.installed().items():
        dropped = vs.core.bs.VideoSource(str(clip), cachemode=0)[::2]
        doubled = method(dropped)
        for k in (0, 3, 7):
            one, other = dropped.get_frame(k), doubled.get_frame(2 * k)
            difference = np.asarray(one[0]).astype(int) - np.asarray(other[0])
            assert np.abs(difference).mean() < 1, name


def test_command(clip, tmp_path, capsys):
    common = ("--device", "cpu", "--precision", "fp32", "-q")
    assert (
        main(["bench", "clips", str(clip), "--frames", "9", "--out", str(tmp_path), *common]) == 0
    )
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["frames", "IFRNet", "blend"]
    assert row.split()[:2] == ["waves.mkv", "7"]
    ifrnet, blend = float(row.split()[2]), float(row.split()[4])
    assert ifrnet > blend + 3  # 3 pixels a frame, which blending doubles
    assert len((tmp_path / "frames.csv").read_text().splitlines()) == 1 + 7 * len(
        heading.split()[1:]
    )
    strips = sorted(tmp_path.glob("waves.mkv_0*.png"))
    assert len(strips) == 5
    with Image.open(strips[0]) as strip:
        assert strip.size == (5 * WIDTH, HEIGHT)
    assert main(["bench", "clips", str(clip), "--frames", "9", "--json", *common]) == 0
    scores = json.loads(capsys.readouterr().out)
    # JSON has null for the infinite PSNR of an equal picture, which counts as 60 dB.
    psnrs = [score["psnr"] for score in scores if score["method"] == "IFRNet"]
    mine = [60.0 if psnr is None else min(psnr, 60.0) for psnr in psnrs]
    assert np.mean(mine) == pytest.approx(ifrnet, abs=0.006)


def test_wrong_input(clip, tmp_path, capsys):
    (tmp_path / "text.mkv").write_text("not a video")
    for arguments, message in (
        ((tmp_path / "nothing.mkv",), "nothing.mkv: there is no such file"),
        ((tmp_path / "text.mkv",), "text.mkv: not a video"),
        ((clip, clip), "waves.mkv: two files have this name"),
        ((clip, "--frames", "0"), "--frames 0: must be at least 1"),
    ):
        assert main(["bench", "clips", *map(str, arguments), "-q"]) == 1
        assert message in capsys.readouterr().err
