"""The image: built once, looked over before it is lent, built anew when it is not whole."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.lab.commands import LabError
from tests.lab.image import Image, home, image


class Maker:
    """Makes a small image, and counts."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, folder: Path) -> None:
        self.times += 1
        (folder / "root/etc").mkdir(parents=True)
        (folder / "root/etc/hostname").write_text("image\n")
        (folder / "mirror").mkdir()


@pytest.fixture
def make() -> Maker:
    return Maker()


def lend(images: Path, make: Maker) -> Image:
    with image(images, make=make) as lent:
        return lent


def test_the_image_is_built_once_for_all_who_ask(tmp_path: Path, make: Maker) -> None:
    asking = [threading.Thread(target=lend, args=(tmp_path, make)) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()

    assert lend(tmp_path, make).root.joinpath("etc/hostname").read_text() == "image\n"
    assert make.times == 1


def test_an_image_that_somebody_wrote_to_is_not_lent(tmp_path: Path, make: Maker) -> None:
    (lend(tmp_path, make).root / "etc/hostname").write_text("changed\n")

    assert lend(tmp_path, make).root.joinpath("etc/hostname").read_text() == "image\n"
    assert make.times == 2


def test_what_a_failed_build_left_is_never_lent_and_goes(tmp_path: Path, make: Maker) -> None:
    def breaks(folder: Path) -> None:
        (folder / "root").mkdir()
        raise LabError

    with pytest.raises(LabError), image(tmp_path, make=breaks):
        pass
    lent = lend(tmp_path, make)

    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [lent.root.parent]


def test_an_older_image_stays_while_it_is_lent(tmp_path: Path, make: Maker) -> None:
    with image(tmp_path, make=make) as lent:
        older = lent.root.parent.rename(tmp_path / "older")
        lend(tmp_path, make)
        os.utime(older / "lock", (0, 0))
        lend(tmp_path, make)
        assert older.exists()

    lend(tmp_path, make)
    assert not older.exists()


def test_the_environment_says_where_images_are() -> None:
    assert home({"PATCHTIDE_LAB": "/srv/lab"}) == Path("/srv/lab")
