"""What the system says of the processor, and what is made of odd answers."""

import pytest

from fastntk.base import processor


def describe(folder, **caches):
    for index, (level, kind, size) in enumerate(caches.values()):
        place = folder / f"index{index}"
        place.mkdir()
        for name, value in (("level", level), ("type", kind), ("size", size)):
            (place / name).write_text(f"{value}\n")
    return folder


def test_caches_that_hold_data(tmp_path):
    there = describe(
        tmp_path, data=(1, "Data", "48K"), code=(1, "Instruction", "32K"), second=(2, "Unified", "1024K"),
        third=(3, "Unified", "32M"),
    )  # fmt: skip
    assert processor._caches_of(there) == {"L1": 48 * 1024, "L2": 2**20, "L3": 2**25}


@pytest.mark.parametrize("size", ["", "0K", "-1", "many", "48G"])
def test_sizes_that_say_nothing(tmp_path, size):
    assert processor._caches_of(describe(tmp_path, data=(1, "Data", size))) == {}


def test_no_description(tmp_path):
    assert processor._caches_of(tmp_path) == {}
    (tmp_path / "index0").mkdir()
    assert processor._caches_of(tmp_path) == {}


def test_this_machine():
    first = processor.first_level_cache()
    assert first is None or 2**13 <= first <= 2**20
    assert all(value for value in processor.description().values())
