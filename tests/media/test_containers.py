"""What containers and codecs keep, against the table in docs/containers.md, by ffprobe."""

import shutil

import container_table
import pytest


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs ffprobe")
@pytest.mark.parametrize(("container", "codec"), container_table.ROWS)
def test_nothing_is_lost_that_the_table_says_is_kept(container, codec, tmp_path):
    documented = container_table.read()[container, codec]
    found = container_table.row(container, codec, tmp_path)
    # A newer FFmpeg may keep more.
    assert {k: v for k, v in found.items() if documented[k] != "no"} == {
        k: v for k, v in documented.items() if v != "no"
    }
