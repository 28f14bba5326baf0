"""Downloads from a local server that misbehaves on purpose (loopback only)."""

import dataclasses
import http.server
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import platformdirs
import pytest
from paths import ROOT

from vsifrnet.errors import CacheError, FetchError, WeightsError
from vsifrnet.weights import cache, fetch, registry
from vsifrnet.weights.find import MODELS_FOLDER
from vsifrnet.weights.load import load_weights

CONTENT = bytes(range(256)) * 4096  # 1 MiB
HALF = len(CONTENT) // 2


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at /good; what it does elsewhere is in the handler's methods."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []  # (path, Range header)
        self.released = threading.Event()

    def address(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    def handle_error(self, request, client_address):
        pass  # clients that leave are part of the tests


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        name = self.path.strip("/").split("/")[0]
        self.server.requests.append((name, self.headers.get("Range")))
        self.close_connection = True
        getattr(self, name)()

    @property
    def start(self):
        wanted = self.headers.get("Range")
        return int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0

    def reply(self, status, body, **headers):
        self.send_response(status)
        headers = {"Content-Length": len(body)} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def good(self, content=CONTENT, sent=None):
        """A server as it should be; ``sent``: breaks off after that many bytes."""
        start = self.start
        if start >= len(content):
            self.reply(416, b"", Content_Range=f"bytes */{len(content)}")
            return
        body = content[start:]
        self.reply(
            206 if start else 200,
            body[:sent],
            Content_Length=len(body),
            Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}",
        )

    def missing(self):
        self.reply(404, b"404: Not Found")

    def failing(self):
        self.reply(503, b"")

    def no_range(self):
        self.reply(200, CONTENT)

    def wrong_range(self):
        if not self.start:
            self.good()
            return
        self.reply(206, CONTENT, Content_Range=f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}")

    def breaks_off(self):
        self.good(sent=HALF // 2)

    def breaks_at_once(self):
        self.good(sent=0)

    def breaks_off_chunked(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"1000\r\n" + CONTENT[:0x1000] + b"\r\n1000\r\n" + CONTENT[:99])

    def short(self):
        """Half the content, and says that this is all."""
        self.reply(200, CONTENT[:HALF])

    def wrong(self):
        self.good(CONTENT[::-1])

    def page(self):
        self.reply(200, b"<!DOCTYPE html><html>Sign in</html>", Content_Type="text/html")

    def lfs(self):
        self.reply(200, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")

    def empty(self):
        self.reply(200, b"")

    def huge(self):
        self.reply(200, b"x", Content_Length=1 << 40)

    def endless(self):
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(CONTENT)

    def hangs(self):
        self.server.released.wait(60)

    def hangs_half_way(self):
        start = self.start
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        self.wfile.write(CONTENT[start:HALF])
        self.wfile.flush()
        self.server.released.wait(60)

    def slow(self):
        time.sleep(1)
        self.good()

    def nonsense(self):
        self.wfile.write(b"220 ftp.example.org ready\r\n")

    def redirects(self):
        self.reply(302, b"", Location=self.server.address("good/file.bin"))


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("VSIFRNET_CACHE", str(folder))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return folder


@pytest.fixture
def digest(tmp_path):
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return cache.digest(path, "git")


@pytest.fixture
def model(server, digest):
    """Makes a model whose addresses are the server's, in that order."""

    def make(*paths, sources=None):
        return registry.Model(
            name="Test",
            variant="S",
            training_set="none",
            honours_t=True,
            licence="none",
            sources=tuple(
                registry.Source(
                    format="pth",
                    origin="the test",
                    files=tuple(
                        registry.File(
                            name=name,
                            digest=digest,
                            addresses=tuple(server.address(f"{path}/{name}") for path in paths),
                        )
                        for name in names
                    ),
                )
                for names, paths in (sources or [(["file.bin"], paths)])
            ),
        )

    return make


def part_of(home, digest, name="file.bin"):
    return home / "Test" / f"{name}.{digest[4:16]}.part"


def left_in(home):
    return sorted(path.name for path in (home / "Test").glob("*") if path.name != ".lock")


# What comes through


def test_digest_is_git_hash_object(tmp_path):
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    said = subprocess.run(
        ["git", "hash-object", "--no-filters", path], capture_output=True, text=True, check=True
    )
    assert cache.digest(path, "git") == f"git:{said.stdout.strip()}"
    assert cache.digest(path, "sha256").startswith("sha256:fbbab289f7f94b25")


@pytest.mark.parametrize("path", ["good", "no_range", "redirects", "slow"])
def test_fetches(home, server, model, path, capfd):
    fetched = fetch.fetch(model(path))
    assert fetched == home / "Test" / "file.bin"
    assert fetched.read_bytes() == CONTENT
    assert left_in(home) == ["file.bin"]
    out, err = capfd.readouterr()
    assert out == ""
    assert "file.bin" in err


def test_what_is_cached_is_not_fetched_again(home, server, model):
    first = fetch.fetch(model("good"))
    assert fetch.fetch(model("good")) == first == cache.find(model("good"))
    assert len(server.requests) == 1


def test_damage_in_the_cache_is_seen_and_repaired(home, model):
    path = fetch.fetch(model("good"))
    path.write_bytes(CONTENT[:-1] + b"x")
    assert cache.find(model("good")) is None
    assert cache.damaged(model("good")) == [path]
    assert fetch.fetch(model("good")).read_bytes() == CONTENT
    assert cache.damaged(model("good")) == []


def test_several_files_of_a_source(home, server, model):
    several = model(sources=[(["a.param", "a.bin"], ["good"])])
    assert fetch.fetch(several) == home / "Test" / "a.param"
    assert left_in(home) == ["a.bin", "a.param"]
    (home / "Test" / "a.bin").unlink()
    assert cache.find(several) is None
    fetch.fetch(several)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "bad", ["missing", "failing", "wrong", "page", "short", "breaks_at_once", "nonsense", "huge"]
)
def test_next_address_after_a_bad_one(home, server, model, bad, caplog):
    assert fetch.fetch(model(bad, "good")).read_bytes() == CONTENT
    assert [path for path, _ in server.requests][-1] == "good"
    assert left_in(home) == ["file.bin"]
    assert server.address(bad) in caplog.text


def test_next_source_after_a_bad_one(home, server, model, caplog):
    two = model(sources=[(["a.pth"], ["missing"]), (["b.param", "b.bin"], ["good"])])
    assert fetch.fetch(two) == home / "Test" / "b.param"
    assert cache.find(two) == home / "Test" / "b.param"
    assert "next source" in caplog.text


# Resuming


def test_continues_a_part(home, server, model, digest):
    part = part_of(home, digest)
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1000])
    assert fetch.fetch(model("good")).read_bytes() == CONTENT
    assert server.requests == [("good", "bytes=1000-")]


def test_continues_where_the_connection_broke(home, server, model):
    assert fetch.fetch(model("breaks_off")).read_bytes() == CONTENT
    quarters = [None] + [f"bytes={n * HALF // 2}-" for n in (1, 2, 3)]
    assert server.requests == [("breaks_off", quarter) for quarter in quarters]


@pytest.mark.parametrize(
    "begun", [CONTENT[1:1000], CONTENT + b"more", CONTENT[::-1]], ids=["wrong", "long", "other"]
)
def test_part_that_is_wrong_is_begun_anew(home, server, model, digest, begun):
    part = part_of(home, digest)
    part.parent.mkdir(parents=True)
    part.write_bytes(begun)
    assert fetch.fetch(model("good")).read_bytes() == CONTENT
    assert server.requests[-1] == ("good", None)


def test_part_that_is_whole_only_needs_verifying(home, server, model, digest):
    part = part_of(home, digest)
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    assert fetch.fetch(model("missing")).read_bytes() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("path", ["no_range", "wrong_range"])
def test_server_that_does_not_continue(home, server, model, digest, path):
    part = part_of(home, digest)
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1000])
    assert fetch.fetch(model(path, "good")).read_bytes() == CONTENT


def client(model, **options):
    """A process that fetches ``model``."""
    code = f"""
        import logging
        from vsifrnet.weights.registry import File, Model, Source
        from vsifrnet.weights import fetch
        logging.basicConfig(level=logging.INFO)
        print(fetch.fetch({model!r}))
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_killed_client_leaves_a_part_that_is_continued_not_trusted(home, server, model, digest):
    part = part_of(home, digest)
    with client(model("hangs_half_way")) as process:
        give_up = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size >= HALF - (1 << 17)):
            assert time.monotonic() < give_up
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert left_in(home) == [part.name]
    assert cache.find(model("good")) is None

    kept = part.stat().st_size
    assert 0 < kept <= HALF
    assert fetch.fetch(model("good")).read_bytes() == CONTENT
    assert server.requests[-1] == ("good", f"bytes={kept}-")
    assert left_in(home) == ["file.bin"]


def test_two_processes_at_once_download_once(home, server, model):
    with client(model("slow")) as one, client(model("slow")) as two:
        outputs = [process.communicate(timeout=60) for process in (one, two)]
    assert [one.returncode, two.returncode] == [0, 0]
    assert [out.strip() for out, _ in outputs] == [str(home / "Test" / "file.bin")] * 2
    assert len(server.requests) == 1
    assert left_in(home) == ["file.bin"]


# What cannot be had


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing", "404"),
        ("failing", "503"),
        ("wrong", "wrong content: its digest is not git:"),
        ("short", "wrong content"),
        ("empty", "wrong content"),
        ("page", "an HTML page"),
        ("lfs", "a Git LFS pointer"),
        ("huge", "wrong content: 1099511627776 bytes"),
        ("nonsense", "cannot be reached"),
        ("breaks_at_once", "truncated: 0 of 1048576 bytes"),
        ("breaks_off_chunked", "interrupted"),
        ("hangs", "timed out"),
        ("hangs_half_way", "timed out"),
    ],
)
def test_errors_say_what_each_address_met(home, server, model, path, message):
    with pytest.raises(FetchError, match=message) as caught:
        fetch.fetch(model(path), timeout=0.5)
    assert server.address(path) in str(caught.value)
    assert cache.find(model("good")) is None
    assert "file.bin" not in left_in(home)


def test_endless_content_is_stopped(home, model, monkeypatch):
    monkeypatch.setattr(cache, "MAX_BYTES", 8 << 20)
    with pytest.raises(FetchError, match="wrong content: more than"):
        fetch.fetch(model("endless"))
    assert left_in(home) == []


def test_wrong_content_is_deleted(home, model):
    with pytest.raises(FetchError):
        fetch.fetch(model("wrong"))
    assert left_in(home) == []


def test_size_that_is_known_is_checked_before_the_download(home, server, model):
    good = model("good")
    file = dataclasses.replace(good.sources[0].files[0], size=5)
    source = dataclasses.replace(good.sources[0], files=(file,))
    with pytest.raises(FetchError, match="1048576 bytes, expected 5"):
        fetch.fetch(dataclasses.replace(good, sources=(source,)))


def test_offline(home, model):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    closed = registry.File(
        name="file.bin",
        digest="git:" + "0" * 40,
        addresses=(f"http://127.0.0.1:{port}/a", "http://name.invalid/b"),
    )
    source = registry.Source(format="pth", origin="nowhere", files=(closed,))
    nowhere = registry.Model(
        name="Test", variant="S", training_set="", honours_t=True, licence="", sources=(source,)
    )
    with pytest.raises(FetchError) as caught:
        fetch.fetch(nowhere, timeout=2)
    assert str(caught.value).count("cannot be reached") == 2
    assert left_in(home) == []


def test_full_disk(home, model, digest):
    part = part_of(home, digest)
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")  # every write to it meets ENOSPC
    with pytest.raises(CacheError, match=r"No space left on device.*VSIFRNET_CACHE"):
        fetch.fetch(model("good"))
    assert left_in(home) == []


@pytest.fixture
def unprivileged():
    """Root may write anywhere: be nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def read_only(home):
    home.mkdir(mode=0o555)


def test_read_only_folder(model, read_only, unprivileged):
    with pytest.raises(CacheError, match=r"Permission denied.*VSIFRNET_CACHE"):
        fetch.fetch(model("good"))


def test_folder_that_is_a_file(home, model):
    home.write_text("not a folder")
    with pytest.raises(CacheError, match=r"cannot write model Test.*VSIFRNET_CACHE"):
        fetch.fetch(model("good"))


# From a name to weights


@pytest.fixture
def published(server, monkeypatch):
    """A registry whose one model is the packaged file, served by the server."""
    ours = registry.MODELS[0].sources[0].files[0]
    content = (MODELS_FOLDER / ours.name).read_bytes()
    monkeypatch.setattr(Handler, "weights", lambda self: self.good(content), raising=False)
    monkeypatch.setattr(Handler, "start_only", lambda s: s.good(content, 100), raising=False)

    def make(path):
        file = registry.File(name=ours.name, digest=ours.digest, addresses=(server.address(path),))
        source = registry.Source(format="safetensors", origin="the test", files=(file,))
        model = registry.Model(
            name="Served", variant="S", training_set="", honours_t=True, licence="",
            sources=(source,),
        )  # fmt: skip
        monkeypatch.setattr(registry, "MODELS", (model,))

    return make


def test_load_downloads_only_when_told(home, server, published):
    published("weights")
    with pytest.raises(WeightsError, match="vsifrnet models fetch Served"):
        load_weights("served")
    assert server.requests == []
    loaded = load_weights("served", auto_download=True)
    assert (loaded.name, loaded.config.name) == ("Served", "S")
    assert load_weights("Served").path == loaded.path
    assert len(server.requests) == 1


def test_load_that_cannot_download(published):
    published("missing")
    with pytest.raises(WeightsError, match="404"):
        load_weights("Served", auto_download=True)


# The cache folder


def test_cache_folder_is_the_platforms_unless_overridden(monkeypatch, tmp_path):
    assert cache.folder() == tmp_path / "cache"
    monkeypatch.delenv("VSIFRNET_CACHE")
    assert cache.folder() == Path(platformdirs.user_cache_dir("vsifrnet"))
