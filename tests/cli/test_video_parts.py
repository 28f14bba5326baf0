"""``vsifrnet video``: names, damaged input, parts of a video, and pipes."""

import io
import os
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import vapoursynth as vs
from ffmpeg_program import FFMPEG
from paths import ROOT

from vsifrnet.cli import main, options
from vsifrnet.errors import InputError
from vsifrnet.media import y4m
from vsifrnet.media.source import open_source

FAST = ("--device", "cpu", "--precision", "fp32", "-q")


def video(*arguments):
    return main(["video", *map(str, arguments), *FAST])


def lavfi(path, *flags, size="64x48", rate=12, seconds=1, kind="testsrc2", audio=False):
    """A video file that ffmpeg makes, the whole of it, with these output options."""
    source = f"{kind}=size={size}:rate={rate}:duration={seconds}"
    command = [FFMPEG, "-v", "error", "-y", "-f", "lavfi", "-i", source]
    if audio:
        tone = f"sine=frequency=440:duration={seconds}:sample_rate=8000"
        command += ["-f", "lavfi", "-i", tone, "-c:a", "pcm_s16le"]
    command += ["-pix_fmt", "yuv420p", *flags, f"file:{os.fspath(path)}"]
    subprocess.run(command, check=True)
    return path


def shown(path):
    """The decoded pictures (grey) of a file, with their times in seconds."""
    with av.open(str(path.absolute())) as container:
        return [
            (frame.pts * frame.time_base, frame.to_ndarray(format="gray"))
            for frame in container.decode(video=0)
        ]


def same(one, other, shift=0):
    return len(one) == len(other) and all(
        abs(a[0] - b[0] - shift) <= Fraction(1, 1000) and np.array_equal(a[1], b[1])
        for a, b in zip(one, other, strict=True)
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return lavfi(tmp_path_factory.mktemp("source") / "in.mkv", audio=True, seconds=2)


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out.mkv"
    assert video(source, out, "--option", "qp=0") == 0
    return out


NAMES = ["Re:Zero 01.mkv", "-dash.mkv", "%03d *?[1].mkv", "b\udce9.mkv", "file:a.mkv", "ünï.mkv"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_the_input_and_of_the_output(name, source, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    os.link(source, name)
    os.mkdir("out")
    assert main(["video", *FAST, "--preview", "2", "--", name, f"out/{name}"]) == 0
    assert len(shown(tmp_path / "out" / name)) == 2
    assert os.listdir("out") == [name]
    if name != "b\udce9.mkv":  # the table is text
        assert main(["bench", "clips", *FAST[:-1], "--frames", "1", "--", name]) == 0
        assert name[:10] in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a:1.png", "b\udce9.png"])
def test_any_name_of_16_bit_pictures_and_animations(name, tmp_path, monkeypatch):
    import torch

    from vsifrnet.media import pictures
    from vsifrnet.media.pictures import Picture

    monkeypatch.chdir(tmp_path)
    path = pictures.Path(name)
    pictures.write(Picture(rgb=torch.rand(3, 32, 32), depth=16), path)
    for out in (f"o{name}", f"o{name[:-4]}.mp4"):
        assert main(["image", name, name, "-o", out, *FAST]) == 0
        assert os.path.getsize(out)


@pytest.mark.parametrize(
    ("name", "made_by", "start"),
    [
        ("b.avi", ("-c:v", "mpeg4", "-bf", "2"), None),
        ("raw.h264", ("-c:v", "libx264"), 0),
        ("negative.mkv", ("-bf", "0", "-output_ts_offset", "-0.3"), Fraction(-3, 10)),
    ],
)
def test_streams_without_times_have_their_nominal_rate(name, made_by, start, tmp_path, caplog):
    flags = ("-avoid_negative_ts", "disabled", *made_by)
    opened = open_source(lavfi(tmp_path / name, *flags))
    assert "without a time" in caplog.text
    assert "12 fps" in caplog.text
    assert opened.constant
    assert (opened.clip.num_frames, opened.clip.fps) == (12, 12)
    if start is not None:
        assert abs(opened.start - start) <= Fraction(1, 1000)
    out = tmp_path / "out.mkv"
    assert video(tmp_path / name, out) == 0
    assert len(shown(out)) == 24


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
@pytest.mark.parametrize("share", [0.4, 0.9])
def test_input_that_is_cut_off(suffix, share, tmp_path, capsys):
    flags = ("-g", "6", "-movflags", "+faststart") if suffix == ".mp4" else ("-g", "6")
    full = lavfi(tmp_path / f"in{suffix}", *flags, seconds=8, audio=suffix == ".mkv")
    data = full.read_bytes()
    assert video(full, tmp_path / "full.mkv", "--preview", 2) == 0
    assert capsys.readouterr().err == ""
    full.write_bytes(data[: int(len(data) * share)])
    out = tmp_path / "out.mkv"
    assert video(full, out) == 1
    assert "is cut off or damaged" in capsys.readouterr().err
    assert 2 < len(shown(out)) <= 192


@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        (("--start", "5", "--end", "9"), 10, 18),
        (("--start", "0.5"), 12, 48),
        (("--end", "1s"), 0, 24),
        (("--start", "0:01.25", "--preview", "3"), 30, 33),
        (("--preview", "1000"), 0, 48),
    ],
)
def test_a_part_is_that_part_of_the_whole(given, first, last, source, whole, tmp_path):
    out = tmp_path / "out.mkv"
    assert video(source, out, "--option", "qp=0", *given) == 0
    assert same(shown(whole)[first:last], shown(out), shift=Fraction(first, 24))
    with av.open(str(source)) as container:
        sound = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    with av.open(str(out)) as container:
        heard = list(container.decode(audio=0))
        begin = heard[0].pts * heard[0].time_base
        heard = np.concatenate([f.to_ndarray()[0] for f in heard])
    # The sound is that of the same stretch, from the first packet in it on.
    at = round((Fraction(first, 24) + begin) * 8000)
    ends = [at + k + len(heard) for k in range(-8, 9)]  # Matroska's times are rounded to 1 ms
    assert any(np.array_equal(heard, sound[end - len(heard) : end]) for end in ends)
    assert begin < 0.15
    assert abs(begin + len(heard) / 8000 - (last - first) / 24) < 0.15


def test_parts_of_a_variable_rate_and_of_a_target_rate(tmp_path):
    times = ("-vf", "setpts='if(lt(N,6),N,6+(N-6)*3)/12/TB'", "-fps_mode", "vfr")
    source = lavfi(tmp_path / "in.mkv", *times, "-enc_time_base", "1/1000")
    assert not open_source(source).constant
    for number, given in enumerate([("--multi", "2"), ("--fps", "30")]):
        whole, out = tmp_path / f"whole{number}.mkv", tmp_path / f"out{number}.mkv"
        assert video(source, whole, "--option", "qp=0", *given) == 0
        assert video(source, out, "--option", "qp=0", *given, "--start", "5", "--end", "8") == 0
        pictures = shown(whole)
        begin = next(n for n, (time, _) in enumerate(pictures) if time >= Fraction(5, 12))
        some = pictures[begin : begin + len(shown(out))]
        assert same(some, shown(out), shift=some[0][0])
        end = some[-1][0]
        assert Fraction(8, 12) < end < Fraction(6 + 2 * 3, 12)


def test_subtitles_that_a_part_begins_within(tmp_path):
    text = "1\n00:00:00,200 --> 00:00:01,000\nlong\n\n2\n00:00:00,100 --> 00:00:00,300\nover\n\n"
    (tmp_path / "in.srt").write_text(text + "3\n00:00:01,800 --> 00:00:01,900\nlater\n")
    plain = lavfi(tmp_path / "plain.mkv", seconds=2)
    source, out = tmp_path / "in.mkv", tmp_path / "out.mkv"
    inputs = ["-i", plain, "-i", tmp_path / "in.srt", "-map", "0", "-map", "1", "-c", "copy"]
    subprocess.run([FFMPEG, "-v", "error", *inputs, source], check=True)
    assert video(source, out, "--start", "0.5", "--end", "1.5") == 0
    with av.open(str(out)) as container:
        packets = [p for p in container.demux(container.streams.subtitles[0]) if p.size]
    assert [(bytes(p), p.pts, p.duration) for p in packets] == [(b"long", 0, 500)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--start", "99"), "--start and --end leave no frame of the 24 frames"),
        (("--start", "9", "--end", "9"), "--start and --end leave no frame"),
        (("--preview", "0"), "--preview 0: must be at least 1"),
        (("--crf", "999"), "--crf 999: must be from 0 to 51 with libx264"),
        (("--codec", "libsvtav1", "--crf", "-1"), "--crf -1: must be from 0 to 63 with libsvtav1"),
        (("--multi", "2", "--fps", "60"), "--multi 2 and --fps 60: give one of the two"),
    ],
)
def test_wrong_options(given, message, source, tmp_path, capsys):
    assert video(source, tmp_path / "out.mkv", *given) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_wrong_outputs(source, tmp_path, capsys):
    for out, message in (
        ("out", "out has no suffix that says its container"),
        ("out.what", "'.what' is the suffix of no container"),
        ("out.png", "has the suffix of a picture"),
    ):
        assert video(source, tmp_path / out) == 1
        assert message in capsys.readouterr().err
    for option in (("--crf", "20"), ("--codec", "libx265"), ("--no-audio",), ("--overwrite",)):
        assert video(source, "--pipe", "cat", *option) == 1
        assert f"{option[0]}: is of no use" in capsys.readouterr().err
    assert video(tmp_path, tmp_path / "out.mkv") == 1
    assert "is a folder: give a video file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["x", "-1", "1:2:3:4", "1:-2", "1e3", "1:", "٣"])
def test_moments_that_are_none(text):
    with pytest.raises(options.argparse.ArgumentTypeError):
        options.moment(text)


def test_moments():
    assert options.moment("240") == 240
    assert isinstance(options.moment("240"), int)
    assert options.moment("240s") == Fraction(240)
    assert isinstance(options.moment("240s"), Fraction)
    assert options.moment("1:02:03.5") == Fraction(7447, 2)


def run(*arguments, data=b""):
    command = [sys.executable, "-m", "vsifrnet", "video", *map(str, arguments), *FAST]
    return subprocess.run(command, input=data, capture_output=True, cwd=ROOT)


def test_y4m_on_standard_input_and_output(source, tmp_path):
    """What goes through pipes is what goes through files, to the frame."""
    raw, out = tmp_path / "in.y4m", tmp_path / "out.y4m"
    subprocess.run([FFMPEG, "-v", "error", "-i", source, raw], check=True)
    assert video(raw, tmp_path / "file.mkv", "--codec", "ffv1", "--multi", "5/2") == 0
    piped = run("-", "-", "--multi", "5/2", data=raw.read_bytes())
    assert piped.returncode == 0, piped.stderr
    assert piped.stderr == b""
    out.write_bytes(piped.stdout)
    assert same(shown(tmp_path / "file.mkv"), shown(out))
    filed = run("-", tmp_path / "in.mkv", "--fps", "20", data=raw.read_bytes())
    assert filed.returncode == 0, filed.stderr
    assert len(shown(tmp_path / "in.mkv")) == 40


def test_y4m_that_is_cut_off_or_none(source, tmp_path):
    raw = tmp_path / "in.y4m"
    subprocess.run([FFMPEG, "-v", "error", "-i", source, raw], check=True)
    data = raw.read_bytes()
    cut = run("-", tmp_path / "out.mkv", data=data[:-100])
    assert cut.returncode == 1
    assert b"standard input: the last frame is incomplete" in cut.stderr
    assert len(shown(tmp_path / "out.mkv")) == 46
    for data, message in (
        (b"", b"standard input: must be y4m"),
        (b"YUV4MPEG2 W64\n", b"a damaged y4m header"),
        (b"YUV4MPEG2 W64 H48 F24:1 C444alpha\n", b"colour space '444alpha' cannot be read"),
        (b"YUV4MPEG2 W63 H48 F24:1\n", b"63x48 at 24 fps cannot be read as YUV420P8"),
        (b"YUV4MPEG2 W64 H48 F24:1\n", b"there is no frame in it"),
    ):
        done = run("-", tmp_path / "none.mkv", data=data)
        assert done.returncode == 1
        assert message in done.stderr
        assert b"Traceback" not in done.stderr
    assert not (tmp_path / "none.mkv").exists()


@pytest.mark.parametrize(
    ("form", "props"),
    [
        (vs.YUV420P8, {"_ChromaLocation": 0, "_Range": 1, "_SARNum": 4, "_SARDen": 3}),
        (vs.YUV420P8, {"_ChromaLocation": 1, "_Range": 0}),
        (vs.YUV422P10, {"_Range": 1}),
        (vs.YUV444P16, {}),
        (vs.GRAY8, {"_Range": 0}),
        (vs.GRAY16, {}),
    ],
)
def test_y4m_keeps_the_format_and_what_the_header_can_say(form, props):
    blank = vs.core.std.BlankClip(None, 36, 20, form, 3, 24000, 1001)
    noise = np.random.default_rng(0)

    def fill(n, f):
        frame = f.copy()
        for p in range(f.format.num_planes):
            plane = np.asarray(frame[p])
            plane[:] = noise.integers(0, 2**f.format.bits_per_sample, plane.shape)
        return frame

    clip = blank.std.ModifyFrame(blank, fill).std.SetFrameProps(**props)
    frames = list(clip.frames())
    stream = io.BytesIO()
    assert list(y4m.write(clip, iter(frames), stream)) == [1, 2, 3]
    stream.seek(0)
    reader = y4m.Reader(stream)
    assert (reader.clip.format.id, reader.clip.fps) == (form, Fraction(24000, 1001))
    read = list(reader.frames(reader.clip, multi=Fraction(1)))
    assert len(read) == 3
    for before, after in zip(frames, [reader.clip.get_frame(n) for n in range(3)], strict=True):
        for p in range(before.format.num_planes):
            assert np.array_equal(np.asarray(before[p]), np.asarray(after[p]))
        assert {name: after.props.get(name) for name in props} == props


def test_y4m_cannot_hold_rgb():
    clip = vs.core.std.BlankClip(format=vs.RGB24, length=1)
    with pytest.raises(Exception, match="y4m cannot hold RGB24"):
        next(y4m.write(clip, clip.frames(), io.BytesIO()))


def test_a_reader_that_goes_away(source):
    command = [sys.executable, "-m", "vsifrnet", "video", source, "-", "--multi", "50", *FAST]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.read(9) == b"YUV4MPEG2"
    process.stdout.close()
    message = process.stderr.read()
    assert process.wait() == 1
    assert message.decode().strip() == (
        "vsifrnet video: standard output was closed by what reads it"
    )


def test_an_unknown_input_format():
    with pytest.raises(InputError, match="y4m of 99 bits"):
        y4m.Reader(io.BytesIO(b"YUV4MPEG2 W64 H48 F24:1 C420p99\n"))
