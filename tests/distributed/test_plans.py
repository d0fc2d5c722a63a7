"""What a matrix will take on workers."""

import pytest

import fastntk
from fastntk.matrices.plan_table import Plan


def made(**changes):
    fields = dict.fromkeys(Plan.__dataclass_fields__, 0) | {"shape": (100, 100), "dtype": "float32"}
    return Plan(
        **fields | {"blocks": 10, "block": (40, 40), "seconds": 60.0, "resident_bytes": 20000} | changes
    )


def test_time_goes_by_turns_and_cores():
    assert made().spread(1, 2, 2).seconds == pytest.approx(60.0)
    assert made().spread(4, 2, 2).seconds == pytest.approx(18.0)  # three turns of ten blocks
    assert made().spread(10, 1, 2).seconds == pytest.approx(12.0)
    assert made().spread(1000, 1, 2).seconds == pytest.approx(12.0)


def test_a_worker_holds_one_block():
    assert made().spread(4, 2, 2).worker_bytes == 20000 - 40 * 40 * 4


def test_plan(tmp_path):
    plan = fastntk.plan((3000, 5), dtype="float32", out=tmp_path / "K.npy", workers=3, cores=2)
    assert (plan.workers, plan.cores) == (3, 2)
    assert 0 < plan.worker_bytes < plan.resident_bytes
    assert "3 of 2 cores" in str(plan)
    assert "workers" not in str(fastntk.plan((30, 5)))


def test_bad_workers(tmp_path):
    with pytest.raises(ValueError, match="workers write to out="):
        fastntk.plan((30, 5), workers=2)
    with pytest.raises(ValueError, match="workers must be at least 1"):
        fastntk.plan((30, 5), out=tmp_path / "K.npy", workers=0)
