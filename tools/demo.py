"""``make demo``: run a script of examples/ through vspipe and encode the frames to a video."""

import subprocess
import sys
import time
from pathlib import Path

import av

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "examples" / "double_rate.vpy"
SOURCE = ROOT / "examples" / "launch.webm"
OUT = ROOT / "demo-out" / "launch_2x.mp4"


def main() -> int:
    OUT.parent.mkdir(exist_ok=True)
    partial = OUT.with_suffix(".part.mp4")
    command = ["vspipe", "--progress", "--container", "y4m"]
    command += ["--arg", f"source={SOURCE}", str(SCRIPT), "-"]
    print("$", " ".join(command), flush=True)
    begin = time.monotonic()
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as vspipe,
        av.open(vspipe.stdout, format="yuv4mpegpipe") as y4m,
        av.open(partial, "w") as video,
    ):
        picture = y4m.streams.video[0]
        rate = picture.average_rate
        stream = video.add_stream("libx264", rate=rate, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "yuv420p"
        frames = 0
        for frame in y4m.decode(picture):
            frames += 1
            video.mux(stream.encode(frame))
        video.mux(stream.encode())
    if vspipe.returncode:
        print("vspipe failed", file=sys.stderr)
        return 1
    partial.replace(OUT)
    seconds = time.monotonic() - begin
    print(f"{SOURCE.relative_to(ROOT)}, its frame rate doubled by {SCRIPT.relative_to(ROOT)}:")
    print(f"{frames} frames at {float(rate):g} fps, made in {seconds:.0f} s")
    print(f"play {OUT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
