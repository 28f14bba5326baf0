"""Random command lines on tiny files: the right output or one clear message, and nothing lost."""

import random
import shlex
import shutil
import subprocess
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import av
import pytest
from ffmpeg_program import FFMPEG
from PIL import Image

from vsifrnet.cli import main
from vsifrnet.media.source import open_source

SETS = 200
GROUPS = 10
"""Tests that the sets are divided among, so that a failure names a few of them."""

VIDEOS = ("in.mkv", "Re: odd.mkv", "cut.mp4")
PICTURES = ("a.png", "b.png")
PRECIOUS = ("precious.mkv", "precious.png", "full/00000002.png")

FILTER = {
    "--scale": ("1", "0.5", "3"),
    "--sc-threshold": ("0.3", "2", "x"),
    "--sc-mode": ("repeat", "nearest", "blend", "never"),
    "--dup-mode": ("keep", "bridge"),
    "--dup-max": ("1", "99"),
    "--num-streams": ("1", "0"),
    "--model": ("ifrnet_s", "nothing", "in.mkv", ""),
    "--device": ("cpu", "tpu"),
    "--precision": ("fp32", "bf16", "fp8"),
    "--ensemble": None,
    "--no-sc": None,
    "--overwrite": None,
}
VIDEO = {
    "--multi": ("2", "3", "5/2", "1/2", "1", "0", "x", "7e9"),
    "--fps": ("60", "23.976", "12", "0", "1/0"),
    "--codec": (
        *("libx264", "libx265", "libsvtav1", "ffv1", "mpeg4", "libvpx-vp9", "png", "rawvideo"),
        *("libx264rgb", "qtrle", "gif", "utvideo", "aac", "nonsense", ""),
    ),
    "--crf": ("0", "20", "999", "-1", "nan", "x"),
    "--preset": ("ultrafast", "12", "warp"),
    "--option": ("qp=0", "nonsense=1", "g=x", "="),
    "--start": ("0", "2", "0.2s", "99", "x"),
    "--end": ("3", "0:00.3", "0", "99"),
    "--preview": ("1", "3", "0", "-1"),
    "--matrix": ("709", "1", "nonsense"),
    "--pipe": ("cat >/dev/null", "exit 3", "no-such-command"),
    "--no-audio": None,
    "--no-subtitles": None,
    "--no-attachments": None,
}
VIDEO_TARGETS = (
    *("out.mkv", "out.mkv", "out.mkv", "out.mp4", "out.mov", "out.webm", "out.avi", "o:ut.mkv"),
    *("out", "out.png", "out.gif", "out.what", "precious.mkv", "missing/out.mkv", "in.mkv", "."),
)
IMAGE = {
    "-n": ("1", "2", "3", "0", "x"),
    "-t": ("1/2", "0.1", "2", "0"),
    "--fps": ("10", "0"),
    "--quality": ("1", "100", "0", "101"),
}
IMAGE_TARGETS = (
    *("out.png", "out.jpg", "out.webp", "out.avif", "o%d.png", "out.gif", "out.apng", "out.mp4"),
    *("out", "out.bmp", "o%s.png", "precious.png", "a.png", "missing/out.png", "."),
)
FRAMES = {
    "-n": ("5", "0", "x"),
    "--multi": ("3", "1/2", "0"),
    "--pattern": ("%d.png", "p%03d.jpg", "%d.webp", "same.png", "%d/%d.png", "%d.bmp", "../%d.png"),
    "--quality": ("50", "0"),
    "--loaders": ("1", "0"),
    "--savers": ("3", "-1"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Five tiny files, a folder of pictures, and some that no command has written."""
    root = tmp_path_factory.mktemp("made")
    video = "testsrc2=size=34x34:rate=12:duration=0.5"
    tone = ["-f", "lavfi", "-i", "sine=duration=0.5:sample_rate=8000"]
    (root / "in.srt").write_text("1\n00:00:00,100 --> 00:00:00,400\nHello\n")
    for arguments in (
        [video, *tone, "-i", root / "in.srt", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le", "in.mkv"],
        [f"{video},scale=35:33", "-pix_fmt", "yuv444p", "-c:v", "ffv1", "file:Re: odd.mkv"],
        [video, "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-g", "2", "cut.mp4"],
        [video, "-frames:v", "1", "a.png"],
        [f"{video},format=rgba,hflip,colorchannelmixer=aa=0.5", "-frames:v", "1", "b.png"],
    ):
        command = [FFMPEG, "-v", "error", "-f", "lavfi", "-i", *arguments]
        subprocess.run(command, cwd=root, check=True)
    data = (root / "cut.mp4").read_bytes()
    (root / "cut.mp4").write_bytes(data[: len(data) * 3 // 4])
    (root / "in.srt").unlink()
    for folder in ("pictures", "full"):
        (root / folder).mkdir()
    for k in range(3):
        with Image.open(root / "a.png") as image:
            image.convert("RGB").rotate(k).save(root / "pictures" / f"{k}.png")
    for name in PRECIOUS:
        (root / name).write_bytes(b"precious")
    return root


def early(choice, values):
    """One of the values; those at the beginning, which are good ones, come more often."""
    return values[int(len(values) * choice.random() ** 2)]


def some(choice, options, most=3):
    """A few of the options, some with a value."""
    words = []
    for name in choice.sample(sorted(options), choice.randint(0, most)):
        # Written as one word, for values that begin with a dash.
        value = options[name] and early(choice, options[name])
        short = value is not None and not name.startswith("--")
        words += [name, value] if short else [name if value is None else f"{name}={value}"]
    return words


def command_line(choice):
    command = choice.choices(("video", "image", "frames"), (5, 2, 2))[0]
    if command == "video":
        own, source = VIDEO, [early(choice, (*VIDEOS, "a.png", "missing.mkv", "."))]
        target = [] if choice.random() < 0.1 else [early(choice, VIDEO_TARGETS)]
    elif command == "image":
        own, source = IMAGE, [early(choice, (*PICTURES, "in.mkv")) for _ in "ab"]
        target = ["-o", early(choice, IMAGE_TARGETS)]
    else:
        own, source = FRAMES, [early(choice, ("pictures", "full", "a.png"))]
        target = [early(choice, ("out", "full", "pictures", "a.png"))]
    return [command, *source, *target, *some(choice, own), *some(choice, FILTER, most=1), "-q"]


def files(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def option(words, name):
    """The last value of an option, if it was given."""
    values = [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]
    return values[-1] if values else None


def expected(words):
    """How many frames come out of a video."""
    source = open_source(Path(words[1]))
    count, multi = source.clip.num_frames, Fraction(option(words, "--multi") or 2)
    if fps := option(words, "--fps"):
        target = Fraction(24000, 1001) if fps == "23.976" else Fraction(fps)
        multi = target / Fraction(source.clip.fps)
    places = {"0.2s": 3, "0:00.3": 4}
    first, last = (option(words, name) for name in ("--start", "--end"))
    begin = 0 if first is None else places.get(first) or int(first)
    end = count if last is None else min(places.get(last) or int(last), count)
    whole = floor(count * multi)
    length = min(ceil(end * multi), whole) - ceil(begin * multi)
    return min(length, int(option(words, "--preview") or length))


def check_output(words, new):
    """What a command that succeeded has written."""
    assert new or option(words, "--pipe"), "it says that all is done"
    for path in new.values():
        if path.suffix in (".png", ".jpg", ".webp", ".avif", ".gif", ".apng"):
            with Image.open(path) as image:
                image.load()
        else:
            with av.open(str(path.absolute())) as container:
                shown = sum(1 for _ in container.decode(video=0))
            assert shown == (expected(words) if words[0] == "video" else shown) > 0


@pytest.mark.parametrize("group", range(GROUPS))
def test_random_command_lines(group, made, tmp_path, monkeypatch, capfd):
    done = 0
    for number in range(group, SETS, GROUPS):
        words = command_line(random.Random(number))
        root = tmp_path / str(number)
        shutil.copytree(made, root)
        monkeypatch.chdir(root)
        before = files(root)
        try:
            code = main(words)
        except SystemExit as error:
            code = error.code
        message = capfd.readouterr().err
        told = f"set {number}: {shlex.join(words)}\nexit code {code}: {message}"
        after = files(root)
        assert code in (0, 1, 2), told
        assert "Traceback" not in message, told
        assert "this is a bug" not in message, told
        lines = [line for line in message.splitlines() if line.startswith("vsifrnet")]
        assert len(lines) == (0 if code == 0 else 1), told
        # What was there is there still, but for what was named with --overwrite.
        changed = {name for name, data in before.items() if after.get(name) != data}
        assert changed <= set(PRECIOUS), told
        assert not changed or "--overwrite" in words, told
        assert not [name for name in after if ".vsifrnet-" in name], told
        new = {name: root / name for name in after if name not in before or name in changed}
        if code == 0:
            done += 1
            pictures = {n: p for n, p in new.items() if not p.name.startswith(".")}
            try:
                check_output(words, pictures)
            except Exception as error:
                raise AssertionError(f"{told}\n{error!r}") from error
        shutil.rmtree(root)
    assert done, "no command of these did anything"
