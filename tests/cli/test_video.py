"""``vsifrnet video``: what comes out, decoded again, against what went in."""

import io
import itertools
import re
import signal
import subprocess
import sys
from bisect import bisect_right
from fractions import Fraction

import av
import numpy as np
import pytest
import vapoursynth as vs
from container_table import DISPLAY
from paths import ROOT

from vsifrnet.cli import main
from vsifrnet.errors import EncodeError
from vsifrnet.media import y4m
from vsifrnet.media.encode import Encoder, encode
from vsifrnet.media.formats import storable
from vsifrnet.media.source import exact, open_source

WIDTH, HEIGHT = 64, 48
# Milliseconds: 24 fps, then 12 fps, then 30, as a Matroska holds them.
VARIABLE = [250, 292, 333, 375, 417, 500, 583, 667, 750, 783, 817, 850]
END = 850 + 41  # of the last of them, by the duration that its packet has: 1/24 s
CONSTANT = [round(1000 * k / 24) for k in range(12)]
SUBTITLES = [(300, 200, b"Hello"), (600, 100, b"World")]
FONT = b"not really a font"


def picture(k):
    """RGB (H, W, 3): waves that move with k."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = [np.sin((x - 1.5 * k) / (5 + c) + y / 9) for c in range(3)]
    return (np.stack(waves, axis=-1) * 90 + 128).astype(np.uint8)


def make_source(path, times, *, audio_start=0, extras=True):
    """A Matroska: lossless H.264 at ``times`` (ms), PCM, subtitles, a chapter, a font."""
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "The whole"
        video = container.add_stream("libx264", rate=24, options={"qp": "0", "bf": "2"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        video.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for name in ("colorspace", "color_primaries", "color_trc"):
            setattr(video.codec_context, name, 1)  # BT.709
        video.codec_context.color_range = 1
        video.codec_context.chroma_sample_location = 3  # top left
        video.metadata["title"] = "Moving waves"
        audio = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        audio.metadata["language"] = "jpn"
        subtitles = container.add_mux_stream("subrip") if extras else None
        if extras:
            subtitles.metadata["title"] = "Signs"
            subtitles.disposition = av.stream.Disposition.forced
            container.add_attachment("font.ttf", "font/ttf", FONT)
            container.set_chapters(
                [
                    {
                        "id": 1,
                        "start": 0,
                        "end": 500,
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": "One"},
                    }
                ]
            )
        for k, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(k), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        rng = np.random.default_rng(0)
        for k in range(10):
            samples = rng.integers(-9000, 9000, (1, 800)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.time_base = 8000, Fraction(1, 8000)
            frame.pts = 800 * k + 8 * audio_start
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
        for start, duration, text in SUBTITLES if extras else ():
            packet = av.Packet(text)
            packet.stream, packet.time_base = subtitles, Fraction(1, 1000)
            packet.pts = packet.dts = start
            packet.duration = duration
            container.mux(packet)
    return path


@pytest.fixture(scope="module")
def variable(tmp_path_factory):
    return make_source(tmp_path_factory.mktemp("source") / "variable.mkv", VARIABLE)


@pytest.fixture(scope="module")
def constant(tmp_path_factory):
    return make_source(tmp_path_factory.mktemp("source") / "constant.mkv", CONSTANT)


def video(*arguments):
    return main(["video", *map(str, arguments), "--device", "cpu", "--precision", "fp32", "-q"])


def frames(path):
    """Times in seconds and pictures of a video."""
    with av.open(str(path)) as container:
        decoded = list(container.decode(video=0))
        return [frame.pts * frame.time_base for frame in decoded], decoded


def packets(path, kind):
    """(time in seconds, bytes) of the stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(stream)
            if packet.pts is not None
        ]


def close(times, expected, tolerance):
    assert len(times) == len(expected)
    assert all(abs(a - b) <= tolerance for a, b in zip(times, expected, strict=True))


def at(times, moment):
    """The time at a moment counted in source frames, linear in between."""
    begin, end = times[int(moment)], times[int(moment) + 1]
    return begin + (moment - int(moment)) * (end - begin)


@pytest.mark.parametrize(("suffix", "tick"), [(".mkv", Fraction(1, 2000)), (".mp4", 0)])
@pytest.mark.parametrize("multi", [Fraction(2), Fraction(5, 2)])
def test_variable_rate_stays_variable(multi, suffix, tick, variable, tmp_path):
    out = tmp_path / f"out{suffix}"
    only = ("--no-subtitles", "--no-attachments") if suffix == ".mp4" else ()
    assert video(variable, out, "--multi", multi, *only) == 0
    source = [Fraction(time, 1000) for time in (*VARIABLE, END)]
    count = int(len(VARIABLE) * multi)
    close(frames(out)[0], [at(source, n / multi) for n in range(count)], tick)


@pytest.mark.parametrize("name", ["variable", "constant"])
def test_target_rate_is_constant(name, request, tmp_path):
    source = request.getfixturevalue(name)
    out = tmp_path / "out.mp4"
    assert (
        video(source, out, "--fps", "59.94", "--no-subtitles", "--no-attachments", "--crf", 0) == 0
    )
    times, pictures = frames(out)
    if name == "variable":
        ends = [Fraction(time, 1000) for time in (*VARIABLE, END)]
    else:
        ends = [Fraction(k, 24) for k in range(13)]
    rate = Fraction(60000, 1001)
    count = round((ends[-1] - ends[0]) * rate)
    close(times, [ends[0] + n / rate for n in range(count)], Fraction(1, 10**6))
    # Each picture is that of its moment, not of one a frame away: the waves have moved on.
    for time, shown in zip(times, pictures, strict=True):
        k = bisect_right(ends, time) - 1
        moment = float(k + (time - ends[k]) / (ends[k + 1] - ends[k]))
        if moment < 11:  # the last picture stays
            made = shown.to_ndarray(format="rgb24").astype(float)
            off = [np.abs(made - picture(moment + by)).mean() for by in (0, -1, 1)]
            assert off[0] < 0.7 * min(off[1:])


def test_everything_else_is_copied(variable, tmp_path):
    out = tmp_path / "out.mkv"
    assert video(variable, out) == 0
    for kind in ("audio", "subtitle"):
        before, after = packets(variable, kind), packets(out, kind)
        assert [data for _, data in after] == [data for _, data in before]
        close([time for time, _ in after], [time for time, _ in before], Fraction(1, 1000))
    with av.open(str(out)) as container:
        moving, sound, text, font = container.streams
        assert moving.metadata["title"] == "Moving waves"
        assert sound.metadata["language"] == "jpn"
        assert text.metadata["title"] == "Signs"
        assert text.disposition & av.stream.Disposition.forced
        assert (font.name, font.mimetype, font.data) == ("font.ttf", "font/ttf", FONT)
        assert container.metadata["title"] == "The whole"
        (chapter,) = container.chapters()
        assert chapter["metadata"] == {"title": "One"}
        assert chapter["end"] * exact(chapter["time_base"]) == Fraction(1, 2)


def test_source_frames_and_their_colours_come_through(constant, tmp_path):
    out = tmp_path / "out.mkv"
    assert video(constant, out, "--option", "qp=0") == 0
    before, after = frames(constant)[1], frames(out)[1]
    assert len(after) == 2 * len(before)
    for one, other in zip(before, after[::2], strict=True):
        assert np.array_equal(one.to_ndarray(), other.to_ndarray())
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1)
        assert frame.color_range == 1
        assert stream.codec_context.chroma_sample_location == 3
        assert stream.sample_aspect_ratio == Fraction(4, 3)
        assert stream.average_rate == 48


def test_audio_that_begins_later_stays_later(tmp_path):
    source = make_source(tmp_path / "in.mkv", [1000 + t for t in CONSTANT], audio_start=1300)
    out = tmp_path / "out.mkv"
    assert video(source, out, "--no-subtitles") == 0
    # As all players do, everything is counted from where the first stream begins.
    assert frames(out)[0][0] == 0
    assert packets(out, "audio")[0][0] == Fraction(3, 10)


def test_leaves_out_what_is_not_wanted(variable, tmp_path):
    out = tmp_path / "out.mp4"
    assert video(variable, out, "--no-audio", "--no-subtitles", "--no-attachments") == 0
    with av.open(str(out)) as container:
        assert [stream.type for stream in container.streams] in (["video"], ["video", "data"])


@pytest.mark.parametrize("codec", ["libx265", "libsvtav1"])
def test_other_encoders(codec, constant, tmp_path, capfd):
    out = tmp_path / "out.mkv"
    assert (
        video(constant, out, "--codec", codec, "--preset", {"libx265": "ultrafast"}.get(codec, 12))
        == 0
    )
    times, _ = frames(out)
    close(times, [Fraction(n, 48) for n in range(24)], Fraction(1, 2000))
    assert capfd.readouterr().out == ""


def test_wrong_input(variable, constant, tmp_path, capsys):
    nothing, text = tmp_path / "nothing.mkv", tmp_path / "text.mkv"
    text.write_text("not a video")
    taken = tmp_path / "taken.mkv"
    taken.write_bytes(b"precious")
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    out, mp4 = tmp_path / "out.mkv", tmp_path / "out.mp4"
    for arguments, message in (
        ((nothing, out), "nothing.mkv: there is no such file"),
        ((text, out), "text.mkv: not a video, or a damaged one"),
        ((sound, out), "sound.wav: there is no video in it"),
        ((variable, variable), "is the input"),
        ((variable, taken), "is there already (--overwrite replaces it)"),
        ((variable, tmp_path / "no" / "out.mkv"), "there is no folder"),
        ((variable, tmp_path / "out.what"), "'.what' is the suffix of no container"),
        ((variable, mp4), "attachment 'font.ttf' cannot be put into .mp4"),
        ((variable, mp4, "--codec", "utvideo"), "codec='utvideo' cannot be put into .mp4: choose"),
        ((variable, out, "--codec", "libx999"), "codec='libx999': this FFmpeg has no such encoder"),
        ((variable, out, "--option", "crff=3"), "libx264 has no option 'crff'"),
        ((variable, out, "--preset", "warp"), "Error setting preset/tune warp"),
        (
            (variable, out, "--fps", "60", "--multi", "3"),
            "--multi 3 and --fps 60: give one",
        ),
        ((variable,), "give either OUT or --pipe COMMAND"),
        ((variable, "--pipe", "cat"), "variable frame rate, which y4m cannot carry"),
    ):
        assert main(["video", *map(str, arguments), "-q", "--device", "cpu"]) == 1
        captured = capsys.readouterr()
        assert message in captured.err + captured.out
        assert captured.out == ""
    # Nothing half-done is left, and what was there is untouched.
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "sound.wav",
        "taken.mkv",
        "text.mkv",
    ]
    assert taken.read_bytes() == b"precious"


def test_an_fps_that_covers_the_source(variable, tmp_path):
    out = tmp_path / "out.mkv"
    assert video(variable, out, "--fps", "24") == 0
    times, _ = frames(out)
    lasts = Fraction(END - VARIABLE[0], 1000)
    assert abs(len(times) * Fraction(1, 24) - lasts) <= Fraction(1, 48)


def test_other_video_streams_are_copied(constant, tmp_path, capsys):
    both, out = tmp_path / "both.mkv", tmp_path / "out.mkv"
    with av.open(str(constant)) as source, av.open(str(both), "w") as target:
        streams = [source.streams.video[0]] * 2
        copies = [target.add_stream_from_template(stream, opaque=True) for stream in streams]
        for packet in source.demux(streams[0]):
            for stream in copies if packet.size else ():
                copy = av.Packet(bytes(packet))
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.is_keyframe, copy.stream = packet.is_keyframe, stream
                target.mux(copy)
    assert video(both, out) == 0
    with av.open(str(out)) as container:
        counts = [len(list(container.decode(video=0)))]
        container.seek(0)
        counts.append(len(list(container.decode(video=1))))
    assert counts == [24, 12]
    assert video(both, tmp_path / "one.mkv", "--no-other-video") == 0
    with av.open(str(tmp_path / "one.mkv")) as container:
        assert len(container.streams.video) == 1
    assert video(both, tmp_path / "out.webm", "--codec", "libvpx-vp9") == 1
    said = capsys.readouterr().err
    assert (
        "video stream 1 (h264) cannot be put into .webm: choose .mkv, or --no-other-video" in said
    )


def test_text_subtitles_become_those_of_the_container(variable, tmp_path):
    there, back = tmp_path / "there.mp4", tmp_path / "back.mkv"
    assert video(variable, there, "--no-attachments") == 0
    assert video(there, back) == 0
    for path, codec in ((there, "mov_text"), (back, "subrip")):
        with av.open(str(path)) as container:
            (stream,) = container.streams.subtitles
            assert stream.codec_context.codec.canonical_name == codec
            texts = [
                (float(packet.pts * packet.time_base), line.dialogue.decode())
                for packet in container.demux(stream)
                if packet.size > 2
                for line in packet.decode()
            ]
        assert [text for _, text in texts] == ["Hello", "World"]
        # The file begins where its first stream does, and so do these.
        close([time for time, _ in texts], [start / 1000 for start, *_ in SUBTITLES], 0.002)


def test_transparency_is_refused_or_left_out(tmp_path, capsys):
    clip = vs.core.std.BlankClip(format=vs.RGB24, width=64, height=48, length=4, fpsnum=24)
    alpha = vs.core.std.BlankClip(clip, format=vs.GRAY8, color=99)
    source, out = tmp_path / "in.mkv", tmp_path / "out.mkv"
    for _ in encode(clip.std.ClipToProp(alpha), source, encoder=Encoder(codec="ffv1")):
        pass
    assert video(source, out) == 1
    said = capsys.readouterr().err
    assert "frame 0 has transparent places, which libx264 cannot store" in said
    assert "--no-alpha" in said
    assert not out.exists()
    assert video(source, out, "--no-alpha") == 0
    assert video(source, tmp_path / "png.mkv", "--codec", "png") == 0
    made = vs.core.bs.VideoSource(str(tmp_path / "png.mkv"), cachemode=0)
    assert {int(np.asarray(f.props["_Alpha"][0])[9, 9]) for f in made.frames()} == {99}


def test_a_column_that_is_left_out_is_told(tmp_path, caplog):
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 65, 49, "yuv420p"
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame(65, 49, "yuv420p")))
        container.mux(stream.encode(None))
    with caplog.at_level("WARNING", logger="vsifrnet"):
        clip = open_source(path).clip
    assert (clip.width, clip.height) == (64, 48)
    assert "is read as 64x48" in caplog.text


@pytest.mark.parametrize(
    ("format", "props", "header"),
    [
        (vs.YUV420P8, {}, b"C420 W64 H48 F24:1 Ip A0:0"),
        (
            vs.YUV420P8,
            {"_SARNum": 32, "_SARDen": 27, "_Range": 1, "_ChromaLocation": 0, "_FieldBased": 2},
            b"C420mpeg2 W64 H48 F24:1 It A32:27 XCOLORRANGE=FULL",
        ),
        (vs.YUV422P10, {"_Range": 0}, b"C422p10 W64 H48 F24:1 Ip A0:0 XCOLORRANGE=LIMITED"),
        (vs.GRAY16, {}, b"Cmono16 W64 H48 F24:1 Ip A0:0"),
    ],
)
def test_y4m_says_what_the_source_does(format, props, header):
    clip = vs.core.std.BlankClip(format=format, width=64, height=48, length=2, fpsnum=24)
    clip = clip.std.RemoveFrameProps(["_Range", "_ChromaLocation", "_FieldBased"])
    clip = clip.std.SetFrameProps(**props)
    file, reference = io.BytesIO(), io.BytesIO()
    assert list(y4m.write(clip, clip.frames(), file)) == [1, 2]
    assert file.getvalue().startswith(b"YUV4MPEG2 " + header + b"\n")
    # The frames are as VapourSynth writes them.
    clip.output(reference, y4m=True)
    bodies = [data.getvalue().partition(b"\n")[2] for data in (file, reference)]
    assert bodies[0] == bodies[1]


def test_y4m_refuses_what_it_cannot_carry():
    clip = vs.core.std.BlankClip(format=vs.RGB24, width=64, height=48, length=1)
    with pytest.raises(EncodeError, match="y4m cannot hold RGB24"):
        list(y4m.write(clip, clip.frames(), io.BytesIO()))


READER = """
import sys
header = sys.stdin.buffer.readline()
assert b"W64 H48" in header and b"F48:1" in header, header
frames = 0
while line := sys.stdin.buffer.readline():
    assert line.startswith(b"FRAME"), line
    assert len(sys.stdin.buffer.read(64 * 48 * 3 // 2)) == 64 * 48 * 3 // 2
    frames += 1
open(sys.argv[1], "w").write(str(frames))
"""


def test_pipe(constant, tmp_path):
    (tmp_path / "reader.py").write_text(READER)
    command = f'"{sys.executable}" "{tmp_path / "reader.py"}" "{tmp_path / "count.txt"}"'
    assert video(constant, "--pipe", command) == 0
    assert (tmp_path / "count.txt").read_text() == "24"


@pytest.mark.parametrize("reads", ["", "import sys; sys.stdin.buffer.read(); "])
def test_pipe_to_an_encoder_that_dies(reads, constant, tmp_path, capsys):
    (tmp_path / "dies.py").write_text(f"{reads}raise SystemExit('no space for the bitstream')")
    assert video(constant, "--pipe", f'"{sys.executable}" "{tmp_path / "dies.py"}"') == 1
    message = capsys.readouterr().err
    assert "ended with exit code 1" in message
    assert "no space for the bitstream" in message


def test_stopped_by_ctrl_c_leaves_nothing(constant, tmp_path):
    out = tmp_path / "out.mkv"
    process = subprocess.Popen(
        [sys.executable, "-m", "vsifrnet", "video", constant, out, "--multi", "500"],
        stderr=subprocess.PIPE,
        cwd=ROOT,
        # Where the tests run in the background, Ctrl-C is ignored, and so it would be here.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    seen = b""
    while not re.search(rb"\b[1-9]\d*/6000", seen) and process.poll() is None:
        seen += process.stderr.read1(100)
    assert {path.suffix for path in tmp_path.iterdir()} == {".mkv", ".lock"}
    assert not out.exists()
    process.send_signal(signal.SIGINT)
    message = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert b"Traceback" not in message
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_named_and_leaves_nothing(constant, tmp_path):
    resource = pytest.importorskip("resource")
    out = tmp_path / "out.mkv"
    process = subprocess.run(
        [sys.executable, "-m", "vsifrnet", "video", constant, out, "-q", "--crf", "1"],
        stderr=subprocess.PIPE,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
    )
    assert process.returncode == 1
    assert b"File too large" in process.stderr
    assert b"Traceback" not in process.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("format", "codec", "stored"),
    [
        (vs.YUV420P8, "libx264", "yuv420p"),
        (vs.YUV444P10, "libx264", "yuv444p10le"),
        (vs.YUV422P16, "libx264", "yuv422p10le"),
        (vs.YUV420P12, "libx265", "yuv420p12le"),
        (vs.GRAY16, "libx265", "gray12le"),
        (vs.RGB30, "libx265", "gbrp10le"),
        (vs.RGB24, "libx264", "yuv444p"),
        (vs.YUV444P8, "libsvtav1", "yuv420p"),
        (vs.YUV410P8, "libx264", "yuv420p"),
        (vs.YUV444PS, "libx264", "yuv444p10le"),
    ],
)
def test_the_nearest_format_is_stored(format, codec, stored):
    clip = vs.core.std.BlankClip(format=format, width=64, height=48, length=2)
    clip = clip.std.SetFrameProps(_Matrix=0 if clip.format.color_family == vs.RGB else 1)
    converted, pix_fmt, _ = storable(clip, codec)
    assert pix_fmt == stored
    converted.get_frame(0)


def test_planes_are_in_their_places(tmp_path):
    colour = [40, 200, 90]
    clip = vs.core.std.BlankClip(
        format=vs.RGB24, width=52, height=36, length=3, fpsnum=25, color=colour
    ).std.SetFrameProps(_Matrix=0)
    for codec, options in (("ffv1", {}), ("libx264", {"qp": "0"})):
        path = tmp_path / f"{codec}.mkv"
        for _ in encode(clip, path, encoder=Encoder(codec=codec, options=options)):
            pass
        times, decoded = frames(path)
        close(times, [0, Fraction(1, 25), Fraction(2, 25)], 0)
        shown = decoded[1].reformat(format="rgb24", src_colorspace=decoded[1].colorspace)
        assert np.abs(shown.to_ndarray()[18, 26].astype(int) - colour).max() <= 2


def test_times_of_a_source_are_exact(variable, constant):
    source = open_source(variable)
    assert source.times == [Fraction(time, 1000) for time in VARIABLE]
    assert not source.constant
    durations = [
        Fraction(frame.props["_DurationNum"], frame.props["_DurationDen"])
        for frame in source.clip.frames()
    ]
    ends = [*source.times, Fraction(END, 1000)]
    assert durations == [b - a for a, b in itertools.pairwise(ends)]
    source = open_source(constant)
    assert source.constant
    assert source.clip.fps == 24
    assert {f.props["_DurationNum"] / f.props["_DurationDen"] for f in source.clip.frames()} == {
        1 / 24
    }


@pytest.mark.parametrize(("suffix", "last"), [(".mp4", 70), (".mkv", 40)])
def test_a_gap_before_the_last_frame_is_not_repeated(suffix, last, tmp_path):
    path = tmp_path / f"gap{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        # Matroska, of no given rate, says nothing of durations.
        stream.codec_context.framerate = Fraction(25 if suffix == ".mp4" else 0)
        for k, time in enumerate((0, 40, 80, 120, 3000)):
            frame = av.VideoFrame.from_ndarray(picture(k), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        for packet in stream.encode(None):
            packet.duration = 70 if packet.pts == 3000 else packet.duration
            container.mux(packet)
    clip = open_source(path).clip
    props = clip.get_frame(clip.num_frames - 1).props
    assert Fraction(props["_DurationNum"], props["_DurationDen"]) == Fraction(last, 1000)


def test_hdr10_metadata_is_carried_over(tmp_path):
    props = {
        "_Matrix": 9,
        "_Primaries": 9,
        "_Transfer": 16,
        **DISPLAY,
    }
    clip = vs.core.std.BlankClip(format=vs.YUV420P10, width=64, height=64, length=2, fpsnum=24)
    for codec in ("libx265", "libsvtav1"):
        path = tmp_path / f"{codec}.mkv"
        for _ in encode(clip.std.SetFrameProps(**props), path, encoder=Encoder(codec=codec)):
            pass
        read = vs.core.bs.VideoSource(str(path), cachemode=0).get_frame(0).props
        for name, value in props.items():
            assert read[name] == pytest.approx(value, rel=1e-2), name


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_cover_picture(suffix, constant, tmp_path):
    covered, out = tmp_path / "in.mp4", tmp_path / f"out{suffix}"
    cover = av.CodecContext.create("png", "w")
    cover.width, cover.height, cover.pix_fmt = 16, 16, "rgb24"
    cover.time_base = Fraction(1)
    frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 70, np.uint8), format="rgb24")
    (data,) = (bytes(packet) for packet in [*cover.encode(frame), *cover.encode(None)])
    with av.open(str(constant)) as source, av.open(str(covered), "w") as target:
        moving = target.add_stream_from_template(source.streams.video[0])
        still = target.add_stream("png", rate=1)
        still.width, still.height, still.pix_fmt = 16, 16, "rgb24"
        still.disposition = av.stream.Disposition.attached_pic
        packet = av.Packet(data)
        packet.stream, packet.pts, packet.dts = still, 0, 0
        target.mux(packet)
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = moving
                target.mux(packet)
    assert video(covered, out) == 0
    with av.open(str(out)) as container:
        moving, still = container.streams.video
        assert still.disposition & av.stream.Disposition.attached_pic
        assert next(bytes(p) for p in container.demux(still) if p.size) == data
    assert len(frames(out)[0]) == 24
