#!/bin/sh
# The last two stages of the model in the package, from the one that the repository had before them:
#
#     sh examples/training_videos.sh VIDEOS
#     sh examples/train_ifrnet_s.sh TRAINING_SET VIDEOS OUT
#
# An hour and a quarter on two Zen 4 cores. It can be stopped and given again. TRAINING_SET has
# backgrounds/ and sprites/. The stages before these: vsifrnet/models/ifrnet_s.md.
set -eu
set_dir=$1 videos=$2 out=$3
mkdir -p "$out"
train() {
    torchrun --nproc-per-node 2 -m vsifrnet train --assets "$set_dir" \
        --videos "$videos"/*.m* "$videos"/*.avi --crop 192 --batch 4 --lr-last 3e-6 "$@"
}
mean() { python -m vsifrnet.training.loop.average "$@"; }

git show e613a10:vsifrnet/models/ifrnet_s.safetensors > "$out/before.safetensors"
train --share assets=0.72 --share videos=0.28 --model "$out/before.safetensors" \
    --lr 1e-3 --steps 7500 --seed 17 --out "$out/first"
mean "$out/before.safetensors" "$out/first/weights.safetensors" --out "$out/middle.safetensors"
train --share assets=0.8 --share videos=0.2 --model "$out/middle.safetensors" \
    --lr 5e-4 --warmup 50 --ema 0.995 --steps 1500 --seed 19 --out "$out/last"
mean "$out/middle.safetensors" "$out/last/weights.safetensors" --out "$out/ifrnet_s.safetensors"
