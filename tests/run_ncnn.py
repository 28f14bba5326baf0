"""Run an exported IFRNet in ncnn: ``run_ncnn.py FOLDER WARP`` (used by test_ncnn.py).

FOLDER holds ifrnet.param, ifrnet.bin and inputs.npz with in0, in1 and in2, each (C, H, W); out0
is written to out0.npy. WARP is the type of the warp layer, which ncnn does not have. It runs in its
own process, so that nothing of ncnn outlives it.
"""

import os
import sys
from pathlib import Path

import ncnn
import numpy as np


class Warp(ncnn.Layer):
    """Backward bilinear warp, border clamped; flow (2, H, W) and picture (C, H, W)."""

    def __init__(self):
        ncnn.Layer.__init__(self)
        self.one_blob_only = False

    def forward(self, bottoms, tops, options):
        flow, picture = (np.array(blob) for blob in bottoms)
        _, height, width = picture.shape
        y, x = np.mgrid[:height, :width]
        x = np.clip(x + flow[0], 0, width - 1)
        y = np.clip(y + flow[1], 0, height - 1)
        x0, y0 = x.astype(int), y.astype(int)
        x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
        wx, wy = x - x0, y - y0
        top = picture[:, y0, x0] * (1 - wx) + picture[:, y0, x1] * wx
        bottom = picture[:, y1, x0] * (1 - wx) + picture[:, y1, x1] * wx
        warped = np.ascontiguousarray(top * (1 - wy) + bottom * wy, np.float32)
        tops[0].clone_from(ncnn.Mat(warped), options.blob_allocator)
        return 0


def main(folder, warp_type):
    layers = []

    def create():
        layers.append(Warp())
        return layers[-1]

    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_packing_layout = False  # the layer above knows plain blobs only
    net.register_custom_layer(warp_type, create, lambda _: None)
    assert net.load_param(str(folder / "ifrnet.param")) == 0
    assert net.load_model(str(folder / "ifrnet.bin")) == 0
    extractor = net.create_extractor()
    inputs = dict(np.load(folder / "inputs.npz"))  # a Mat is only a view: keep them
    for name, array in inputs.items():
        extractor.input(name, ncnn.Mat(array))
    code, out = extractor.extract("out0")
    assert code == 0
    np.save(folder / "out0.npy", np.array(out))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
    os._exit(0)  # the order in which Python frees a net and its layers is not ncnn's
