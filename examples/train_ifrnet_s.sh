#!/bin/sh
# Train the stages of the model in the package with lettering, from the model that the repository had
# before them:
#
#     sh examples/training_videos.sh VIDEOS
#     sh examples/training_fonts.sh FONTS
#     sh examples/train_ifrnet_s.sh TRAINING_SET VIDEOS FONTS OUT
#
# This takes three and a half hours on two Zen 4 cores. It can be stopped and given again.
# TRAINING_SET has the folders backgrounds/ and sprites/. The model itself was trained by the clock
# with the same data (vsifrnet/models/ifrnet_s.md), so these weights will be similar, not equal.
set -eu
set_dir=$1 videos=$2 fonts=$3 out=$4
mkdir -p "$out"
train() {
    torchrun --nproc-per-node 2 -m vsifrnet train --assets "$set_dir" --fonts "$fonts" \
        --videos "$videos"/*.m* "$videos"/*.avi --batch 4 "$@"
}

git show efe2938:vsifrnet/models/ifrnet_s.safetensors > "$out/before.safetensors"
train --share assets=0.82 --share videos=0.18 --crop 192 --model "$out/before.safetensors" \
    --lr 1e-3 --lr-last 1e-4 --steps 6250 --seed 101 --out "$out/first"
train --share assets=0.75 --share videos=0.25 --crop 224 --sampling bicubic \
    --model "$out/first/weights.safetensors" \
    --lr 1e-3 --lr-last 1e-4 --steps 7000 --seed 201 --out "$out/second"
train --share assets=0.7 --share videos=0.3 --crop 224 --model "$out/second/weights.safetensors" \
    --lr 5e-4 --lr-last 1e-5 --warmup 50 --ema 0.995 --steps 2250 --seed 301 --out "$out/last"
