"""Frame interpolation for VapourSynth with IFRNet."""

from vsifrnet._version import __version__

__all__ = ["__version__"]
