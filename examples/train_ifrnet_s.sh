#!/bin/sh
# The last stages of the model in the package, from the repository's earlier models to the one it ships:
#
#     sh examples/train_ifrnet_s.sh TRAINING_SET VIDEOS OUT
#
# An hour and a half on two Zen 4 cores. It can be stopped and given again. TRAINING_SET has
# backgrounds/ and sprites/; VIDEOS has the videos that vsifrnet/models/ifrnet_s.md names.
set -eu
set_dir=$1 videos=$2 out=$3
mkdir -p "$out"
train() { torchrun --nproc-per-node 2 -m vsifrnet train --assets "$set_dir" --videos "$videos"/* "$@"; }
earlier() { git show "$1:vsifrnet/models/ifrnet_s.safetensors" > "$out/$1.safetensors"; }
mean() { python -m vsifrnet.training.average "$@"; }

earlier 98d3fc7
earlier dd173e9
mean "$out/98d3fc7.safetensors" "$out/dd173e9.safetensors" --out "$out/start.safetensors"
train --share assets=0.85 --share videos=0.15 --model "$out/start.safetensors" --crop 224 --batch 4 \
    --lr 1e-3 --lr-last 3e-6 --steps 4500 --seed 11 --out "$out/first"
mean "$out/first/weights.safetensors" "$out/dd173e9.safetensors" --out "$out/middle.safetensors"
train --share assets=0.9 --share videos=0.1 --model "$out/middle.safetensors" --crop 192 --batch 4 \
    --lr 5e-4 --lr-last 3e-6 --warmup 50 --ema 0.995 --steps 1700 --seed 13 --out "$out/last"
mean "$out/middle.safetensors" "$out/last/weights.safetensors" --out "$out/ifrnet_s.safetensors"
