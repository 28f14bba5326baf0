"""The weights that the official code was run with; see tests/reference/README.md."""

import numpy as np
import torch

from vsifrnet.network import IFRNet


def formula_weights(model: IFRNet) -> None:
    """Fill ``model`` with the formula weights with which the official code was run."""
    state = model.state_dict()
    for i, key in enumerate(sorted(state)):
        shape = tuple(state[key].shape)
        z = np.random.default_rng([0, i]).standard_normal(shape, dtype=np.float32)
        if len(shape) == 4:
            z /= np.sqrt(np.float32(shape[1] * shape[2] * shape[3]))
        elif key.endswith("bias"):
            z *= np.float32(0.05)
        else:
            z = np.float32(0.25) + np.float32(0.05) * z
        state[key] = torch.from_numpy(z)
    model.load_state_dict(state)
