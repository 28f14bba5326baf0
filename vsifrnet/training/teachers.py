"""Teachers: estimators of optical flow that label real pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from vsifrnet.errors import TrainingError
from vsifrnet.training.data.datasets import LISTS, Triplets
from vsifrnet.training.data.flo import write_flo
from vsifrnet.training.data.sample import Pixels

__all__ = ["TEACHERS", "Dis", "Raft", "Teacher", "label_triplets"]


class Teacher(Protocol):
    """Estimates the flow between two pictures."""

    def flow(self, source: Pixels, target: Pixels) -> NDArray[np.float32]:
        """Return the flow (H, W, 2), x and y in pixels, from ``source`` to ``target``."""
        ...


class Dis:
    """OpenCV's dense inverse search (Kroeger et al. 2016), which is fast and needs no download.

    It runs on the CPU, whatever ``device`` is.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self._dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def flow(self, source: Pixels, target: Pixels) -> NDArray[np.float32]:
        """See :class:`Teacher`."""
        grey = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (source, target)]
        return np.asarray(self._dis.calc(*grey, None), dtype=np.float32)


class Raft:
    """torchvision's large RAFT (Teed and Deng 2020), with weights that are on this machine.

    Raises:
        TrainingError: torchvision or the weights are missing; nothing is downloaded.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        try:
            from torchvision.models import (  # type: ignore[import-not-found,unused-ignore]
                optical_flow,
            )
        except ImportError as error:
            message = "the teacher raft needs torchvision: pip install torchvision"
            raise TrainingError(message) from error
        weights = optical_flow.Raft_Large_Weights.DEFAULT
        path = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
        if not path.is_file():
            raise TrainingError(f"the weights of raft are missing: put {weights.url} at {path}")
        self.device = device or torch.device("cpu")
        self.network = optical_flow.raft_large()
        self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.network.to(self.device).eval()

    @torch.inference_mode()
    def flow(self, source: Pixels, target: Pixels) -> NDArray[np.float32]:
        """See :class:`Teacher`; sides are padded to multiples of 8."""
        height, width = source.shape[:2]
        pad = ((0, -height % 8), (0, -width % 8), (0, 0))
        tensors = [
            torch.from_numpy(np.pad(x, pad, mode="edge")).permute(2, 0, 1)[None].to(self.device)
            for x in (source, target)
        ]
        flow = self.network(*(x.float() / 127.5 - 1 for x in tensors))[-1][0]
        made: NDArray[np.float32] = flow[:, :height, :width].permute(1, 2, 0).cpu().numpy()
        return made


TEACHERS: dict[str, Callable[[torch.device], Teacher]] = {"dis": Dis, "raft": Raft}
"""Every teacher by its name on the command line."""


def label_triplets(root: Path, teacher: Teacher, *, quiet: bool = False) -> int:
    """Label every triplet in ``root`` (Vimeo90K's layout) that has no flow; return their number.

    As the official generate_flow does, the flow is from the middle picture to the first and to the
    last; the files are ``flow/<a>/<b>/flow_t0.flo`` and ``flow_t1.flo``.

    Raises:
        DataError: there are no lists, or a picture is broken.
        TrainingError: the disk is full.
    """
    labelled = 0
    for part, list_name in LISTS.items():
        if part != "train" and not (root / list_name).is_file():
            continue
        data = Triplets(root, part, size=None)
        progress = tqdm(data.names, unit="triplet", disable=quiet, dynamic_ncols=True)
        for index, name in enumerate(progress):
            folder = root / "flow" / name
            if (folder / "flow_t1.flo").is_file():
                continue
            sample = data.sample(index)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_flo(folder / "flow_t0.flo", teacher.flow(sample.imgt, sample.img0))
                write_flo(folder / "flow_t1.flo", teacher.flow(sample.imgt, sample.img1))
            except OSError as error:
                raise TrainingError(f"cannot write the flow to {folder}: {error}") from error
            labelled += 1
    return labelled
