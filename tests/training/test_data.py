"""Tests of real pictures: layouts, augmentation with flow, videos and teachers."""

import os
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from training_data import picture, write_triplets

from vsifrnet.cli import main
from vsifrnet.engine import backend
from vsifrnet.engine.ops import warp
from vsifrnet.errors import DataError, TrainingError
from vsifrnet.training import teachers
from vsifrnet.training.data import augment
from vsifrnet.training.data.assets import read_picture
from vsifrnet.training.data.datasets import Sequences, Triplets, shuffled
from vsifrnet.training.data.flo import read_flo, write_flo
from vsifrnet.training.data.loader import Batches, load_batches
from vsifrnet.training.data.sample import Mixture, Sample, collate
from vsifrnet.training.data.videos import Choice, extract, extract_once, find_triplets
from vsifrnet.training.teachers import Dis, Raft, label_triplets


def moving_sample(x: float = 4.0, y: float = -2.0) -> Sample:
    flow = np.broadcast_to(np.array([-x / 2, -y / 2, x / 2, y / 2], np.float32), (64, 96, 4))
    return Sample(
        img0=picture(0, 0), imgt=picture(x / 2, y / 2), img1=picture(x, y), t=0.5, flow=flow.copy()
    )


def mismatch(sample: Sample) -> float:
    """Mean difference of the target from the outer pictures brought to it by the flow."""
    sample = replace(sample, flow=np.ascontiguousarray(sample.flow))
    batch = collate([sample]).to(torch.device("cpu"))
    warped0, warped1 = warp(batch.img0, batch.flow[:, :2]), warp(batch.img1, batch.flow[:, 2:])
    inner = (..., slice(8, -8), slice(8, -8))
    return max(float((w - batch.imgt)[inner].abs().mean()) for w in (warped0, warped1))


@pytest.mark.parametrize(
    "change",
    [
        augment.enlarge,
        augment.reverse_channels,
        augment.flip_vertically,
        augment.flip_horizontally,
        augment.rotate,
        augment.reverse_time,
        lambda sample: augment.crop(sample, 5, 20, 48),
    ],
)
def test_flow_follows_the_pictures_through_each_augmentation(change):
    sample = moving_sample()
    assert mismatch(sample) < 0.005
    changed = change(sample)
    assert mismatch(changed) < 0.005
    assert mismatch(replace(changed, flow=-changed.flow)) > 0.05


def test_reversing_time_reverses_t():
    sample = replace(moving_sample(), t=0.25)
    reversed_ = augment.reverse_time(sample)
    assert reversed_.t == 0.75
    assert np.array_equal(reversed_.img0, sample.img1)


def test_a_crop_that_does_not_fit_is_refused():
    with pytest.raises(DataError, match=r"crop of 80 .* 96x64"):
        augment.augment(moving_sample(), 80, np.random.default_rng(0))


def test_triplets_labelled_by_dis(tmp_path):
    write_triplets(tmp_path)
    data = Triplets(tmp_path, size=None)
    assert len(data) == 4
    assert data.sample(0).flow is None
    assert label_triplets(tmp_path, Dis(), quiet=True) == 4
    assert label_triplets(tmp_path, Dis(), quiet=True) == 0
    flow = Triplets(tmp_path, size=None).sample(1).flow
    assert np.median(flow, axis=(0, 1)) == pytest.approx([-2.0, 1.0, 2.0, -1.0], abs=0.1)
    sample = Triplets(tmp_path, size=48, seed=1).sample(9)
    assert sample.imgt.shape == (48, 48, 3)
    assert sample.flow.shape == (48, 48, 4)


def test_an_epoch_has_each_entry_once_in_an_order_of_its_own():
    epochs = [[shuffled(e * 10 + i, 10, seed=5) for i in range(10)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert epochs[0] != epochs[1]


def test_broken_triplets_are_named(tmp_path):
    with pytest.raises(DataError, match=r"tri_trainlist\.txt"):
        Triplets(tmp_path)
    write_triplets(tmp_path, 1)
    (tmp_path / "sequences/00001/0000/im2.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"cannot read the picture .*im2\.png"):
        Triplets(tmp_path).sample(0)
    (tmp_path / "tri_trainlist.txt").write_text("\n")
    with pytest.raises(DataError, match="empty"):
        Triplets(tmp_path)


def test_sequences_give_all_the_times_between(tmp_path):
    folder = tmp_path / "GOPR0001" / "sharp"
    folder.mkdir(parents=True)
    for number in range(9):
        Image.fromarray(np.full((32, 32, 3), 20 * number, np.uint8)).save(
            folder / f"{number:06d}.png"
        )
    data = Sequences(tmp_path, span=8, size=32, seed=0)
    assert len(data) == 1
    times = set()
    for index in range(60):
        sample = data.sample(index)
        times.add(sample.t)
        ends = sorted((int(sample.img0[0, 0, 0]), int(sample.img1[0, 0, 0])))
        assert ends == [0, 160]
        expected = (1 - sample.t) * float(sample.img0.mean()) + sample.t * float(sample.img1.mean())
        assert float(sample.imgt.mean()) == pytest.approx(expected)
    assert times == {i / 8 for i in range(1, 8)}
    with pytest.raises(DataError, match="10 pictures"):
        Sequences(tmp_path, span=9)


def test_frames_are_ordered_by_number_and_of_one_size(tmp_path):
    for number in range(1, 19):
        image = np.full((32, 32, 3), 10 * number, np.uint8)
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    data = Sequences(tmp_path, span=8, size=32)
    ends = [[int(path.stem) for path in (run[0], run[-1])] for run in data.starts]
    assert ends == [[1, 9], [9, 17]]
    Image.new("RGB", (48, 40)).save(tmp_path / "9.png")
    with pytest.raises(DataError, match=r"[19]\.png is .*(32x32 .*48x40|48x40 .*32x32)"):
        data.sample(0)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_grey_of_16_bits_is_scaled(tmp_path, mode, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 128 * 257, 65535]], np.uint16)).save(path)
    assert read_picture(path, mode)[0, :, 0].tolist() == [0, 128, 255]
    Image.fromarray(np.array([[0, 128 * 257, 65535]], np.int32)).save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif", mode)[0, :, 0].tolist() == [0, 128, 255]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    with pytest.raises(DataError, match=r"cannot read the picture .*a\.png.*3 pixels"):
        read_picture(path, mode)


class Deadly:
    """A data set whose second sample ends its process."""

    def sample(self, index: int) -> Sample:
        if index:
            time.sleep(0.5)  # until the first has got through
            os._exit(9)
        image = np.zeros((8, 8, 3), np.uint8)
        return Sample(img0=image, imgt=image, img1=image, t=0.5)


def test_a_dead_worker_is_named_when_its_batch_is_asked_for():
    batches = load_batches(Batches(Deadly(), 1), range(3), workers=1)
    next(batches)
    time.sleep(1.5)  # it dies meanwhile
    with pytest.raises(TrainingError, match=r"died .*memory.*/dev/shm.*--workers than 1"):
        next(batches)


def write_video(path: Path, frames: list[np.ndarray] | None = None) -> None:
    """Twelve frames of motion, a cut, twelve frames of another motion, twelve that stand still."""
    if frames is None:
        frames = [picture(3.0 * i, 0.0) for i in range(12)]
        frames += [255 - picture(0.0, 2.0 * i)[..., ::-1] // 2 for i in range(12)]
        frames += [frames[-1]] * 12
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for frame in frames:
            video_frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(video_frame))
        container.mux(stream.encode(None))


def test_triplets_of_a_video_leave_out_cuts_and_stills(tmp_path):
    video = tmp_path / "a.mkv"
    write_video(video)
    choice = Choice(every=1, most=20.0)
    firsts = [first for first, _ in find_triplets(video, choice)]
    # Frames 10 and 11 would reach over the cut; from 23 on all stand still, and the triplet of 22
    # is held in its second half.
    assert firsts == [*range(10), *range(12, 22)]
    root = tmp_path / "out"
    assert extract([video], root, choice, quiet=True) == len(firsts)
    sample = Triplets(root, size=None).sample(0)
    assert np.abs(sample.imgt.astype(int) - picture(3.0, 0.0)).mean() < 4


def test_drawings_held_for_two_frames_are_no_triplets_until_the_stride_is_two(tmp_path):
    video = tmp_path / "a.mkv"
    write_video(video, [picture(3.0 * (i // 2), 0.0) for i in range(16)])
    assert list(find_triplets(video, Choice(every=1))) == []
    firsts = [first for first, _ in find_triplets(video, Choice(every=1, stride=2))]
    assert firsts == list(range(12))


def test_extraction_is_done_once_for_the_same_videos(tmp_path):
    video, root = tmp_path / "a.mkv", tmp_path / "out"
    write_video(video)
    extract_once([video], root, Choice(every=4))
    marker = root / "sequences/00000/000000/im1.png"
    marker.write_bytes(b"untouched")
    extract_once([video], root, Choice(every=4))
    assert marker.read_bytes() == b"untouched"
    extract_once([video], root, Choice(every=5))
    assert marker.read_bytes() != b"untouched"
    os.utime(video, (0, 0))  # as another file under the same name
    marker.write_bytes(b"of the other video")
    extract_once([video], root, Choice(every=5))
    assert marker.read_bytes() != b"of the other video"


def test_triplets_cut_out_anew_do_not_keep_old_flow_or_pictures(tmp_path):
    video, root = tmp_path / "a.mkv", tmp_path / "out"
    write_video(video)
    extract_once([video], root, Choice(every=1))
    label_triplets(root, Dis(), quiet=True)
    extract_once([video], root, Choice(every=4, stride=2))
    data = Triplets(root, size=None)
    assert data.sample(0).flow is None
    assert len(list(root.glob("sequences/*/*"))) == len(data)
    (root / "source.txt").unlink()
    with pytest.raises(DataError, match=r"out.sequences was not cut out of videos"):
        extract_once([video], root, Choice())
    assert data.sample(0).imgt.size  # not deleted


def test_triplets_of_videos_may_be_weeded(tmp_path):
    video, root = tmp_path / "a.mkv", tmp_path / "out"
    write_video(video)
    extract_once([video], root, Choice())
    names = Triplets(root).names
    (root / "sequences" / names[0]).rename(tmp_path / "weeded")
    extract_once([video], root, Choice())
    assert Triplets(root).names == names[1:]
    assert label_triplets(root, Dis(), quiet=True) == len(names) - 1
    (root / "source.txt").unlink()
    with pytest.raises(DataError, match=r"cannot read the picture"):  # an official list
        Triplets(root, size=None).sample(0)


def test_what_is_no_video_is_named(tmp_path):
    path = tmp_path / "a.mkv"
    path.write_bytes(b"no video" * 100)
    with pytest.raises(DataError, match=r"cannot read the video .*a\.mkv"):
        list(find_triplets(path, Choice()))
    with pytest.raises(DataError, match=r"there is no video .*b\.mkv"):
        extract_once([tmp_path / "b.mkv"], tmp_path / "out", Choice())


def test_flo_files_round_trip_and_are_checked(tmp_path):
    path = tmp_path / "a.flo"
    flow = np.random.default_rng(0).normal(size=(5, 7, 2)).astype(np.float32)
    write_flo(path, flow)
    assert path.stat().st_size == 12 + 5 * 7 * 2 * 4
    assert np.array_equal(read_flo(path), flow)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match="7x5"):
        read_flo(path)
    path.write_bytes(b"PNG?" + bytes(20))
    with pytest.raises(DataError, match=r"not a \.flo file"):
        read_flo(path)


def test_raft_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(TrainingError, match=r"torchvision|weights of raft are missing"):
        Raft()


@pytest.mark.parametrize(("flags", "device"), [([], None), (["--device", "cpu"], "cpu")])
def test_the_teacher_gets_the_device(tmp_path, monkeypatch, flags, device):
    write_triplets(tmp_path, 1)
    got = []
    monkeypatch.setitem(teachers.TEACHERS, "raft", lambda device: got.append(device) or Dis())
    assert main(["flow", str(tmp_path), "--teacher", "raft", "-q", *flags]) == 0
    assert got == [backend.resolve(device).device]


def test_a_mixture_keeps_its_shares():
    class Constant:
        def __init__(self, value: int) -> None:
            self.value = value

        def sample(self, index: int) -> Sample:
            image = np.full((8, 8, 3), self.value, np.uint8)
            return Sample(img0=image, imgt=image, img1=image, t=0.5)

    data = Mixture([(Constant(1), 3.0), (Constant(2), 1.0)], seed=0)
    values = [int(data.sample(i).imgt[0, 0, 0]) for i in range(400)]
    assert 260 < values.count(1) < 340
    assert values[:50] == [int(data.sample(i).imgt[0, 0, 0]) for i in range(50)]
