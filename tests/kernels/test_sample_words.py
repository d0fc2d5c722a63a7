"""Words over samples against the pattern itself."""

import numpy as np
import pytest

from fastntk import PackedMasks
from fastntk.kernels.cpu.sample_words import BLOCK
from fastntk.kernels.scratch import word_scratch, words_of


@pytest.mark.parametrize("n", [1, 15, 16, 17, 63, 64, 65, 127, 129])
@pytest.mark.parametrize("m", [1, 63, 65, BLOCK + 1])
def test_bits_stay_what_they_are(n, m, rng):
    dense = rng.integers(0, 2, (n, m)).astype(bool)
    words = word_scratch(n, m)
    words[...] = np.iinfo(np.uint64).max  # what was there before is overwritten
    assert words_of(PackedMasks.from_dense(dense).bits, words) is words
    octets = words.view(np.uint8).reshape(*words.shape, 8)
    found = np.unpackbits(octets.transpose(0, 2, 1), axis=1, bitorder="little").reshape(-1, words.shape[1])
    assert np.array_equal(found[:n, :m], dense)
    assert not found[n:].any()
    assert not found[:, m:].any()
