"""Files of pictures and videos, for the command line and the benchmarks.

Nothing of the filter imports this package; it needs the extra ``vsifrnet[video]``.
"""
