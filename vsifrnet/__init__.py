"""Frame interpolation for VapourSynth with IFRNet."""

from vsifrnet._version import __version__
from vsifrnet.filter import ifrnet

__all__ = ["__version__", "ifrnet"]
