"""Frame interpolation for VapourSynth with IFRNet."""

from typing import TYPE_CHECKING

from vsifrnet._version import __version__

if TYPE_CHECKING:
    from vsifrnet.filter import ifrnet
else:

    def __getattr__(name):
        """Import the filter on first use: PyTorch takes seconds, which ``--help`` must not."""
        if name != "ifrnet":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from vsifrnet.filter import ifrnet

        globals()[name] = ifrnet
        return ifrnet


__all__ = ["__version__", "ifrnet"]
