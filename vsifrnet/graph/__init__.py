"""The VapourSynth graph: nodes, callbacks, times, and frames to tensors and back."""
