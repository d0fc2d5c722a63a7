"""The initial weights in plain NumPy: a counter-based generator and the transform of Box and Muller."""

import numpy as np
from numpy.typing import NDArray


def philox(counters: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint64]:
    """Philox-4x32-10 of Salmon, Moraes, Dror and Shaw (SC 2011).

    Parameters
    ----------
    counters : array of uint64 below 2^32, shape (..., 4)
    key : two integers below 2^32

    Returns
    -------
    array of uint64 below 2^32, shape (..., 4)

    Examples
    --------
    >>> [hex(word) for word in philox(np.zeros(4, np.uint64), (0, 0))]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    half, low = np.uint64(32), np.uint64(2**32 - 1)
    c0, c1, c2, c3 = np.moveaxis(counters, -1, 0)
    for turn in range(10):
        k0, k1 = (
            np.uint64((k + turn * step) % 2**32)
            for k, step in zip(key, (0x9E3779B9, 0xBB67AE85), strict=True)
        )
        p, q = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (q >> half) ^ c1 ^ k0, q & low, (p >> half) ^ c3 ^ k1, p & low
    return np.stack((c0, c1, c2, c3), axis=-1)


def _words(layer: int, number: NDArray[np.uint64], counters: int, seed: int) -> NDArray[np.uint64]:
    """Words of the first counters of neurons, or of blocks of neurons, (numbers, counters, 4)."""
    key0, key1 = (int(part) for part in np.random.SeedSequence(seed).generate_state(2, np.uint32))
    place, number = np.broadcast_arrays(np.arange(counters, dtype=np.uint64), number[:, None])
    parts = (place, np.full_like(place, layer), number & np.uint64(2**32 - 1), number >> np.uint64(32))
    return philox(np.stack(parts, axis=-1), (key0, key1))


def drawn_weights(seed: int, first: int, count: int, d: int, layer: int = 1) -> NDArray[np.float64]:
    """Weights ``w_r ~ N(0, I)`` of the neurons ``first`` to ``first + count - 1`` of a layer with d inputs.

    Parameters
    ----------
    seed, first, count, d : int
    layer : int
        From 1.

    Returns
    -------
    array, shape (count, d)

    Notes
    -----
    The counters of the first layer have the number 0, those of a later one its own (1 is that of signs).
    Four words of a counter make four numbers, which stand 16 columns apart in a group of 64: counter ``16 t + l`` makes
    the columns ``64 t + l + 16 (0, 1, 2, 3)``.

    Examples
    --------
    >>> bool((drawn_weights(0, 0, 3, 5)[1:] == drawn_weights(0, 1, 2, 5)).all())
    True
    """
    tiles = -(-d // 64)
    neurons = np.arange(first, first + count, dtype=np.uint64)
    words = _words(0 if layer == 1 else layer, neurons, 16 * tiles, seed)
    unit = (words + 0.5) / 2.0**32
    radius, angle = np.sqrt(-2.0 * np.log(unit[..., ::2])), 2.0 * np.pi * unit[..., 1::2]
    numbers = np.stack(
        (radius * np.cos(angle), radius * np.sin(angle)), axis=-1
    )  # (count, 16 t + l, pair, 2)
    columns = numbers.reshape(count, tiles, 16, 4).swapaxes(2, 3)
    return columns.reshape(count, 64 * tiles)[:, :d]


def drawn_gaussians(seed: int, count: int) -> NDArray[np.float64]:
    """Weights of the output ``a_r ~ N(0, 1)`` of the first ``count`` neurons: one neuron of a layer 2^32 - 1.

    Parameters
    ----------
    seed, count : int

    Returns
    -------
    array, shape (count,)

    Examples
    --------
    >>> bool((drawn_gaussians(0, 70)[:5] == drawn_gaussians(0, 5)).all())
    True
    """
    return drawn_weights(seed, 0, 1, count, 2**32 - 1)[0]


def drawn_signs(seed: int, first: int, count: int) -> NDArray[np.float64]:
    """Second-layer weights ``a_r ~ unif{-1, +1}`` of the neurons ``first`` to ``first + count - 1``.

    Parameters
    ----------
    seed, first, count : int

    Returns
    -------
    array, shape (count,)

    Notes
    -----
    The lowest bit of word 0; neuron r has counter ``r mod 4096`` of block ``r // 4096``.

    Examples
    --------
    >>> sorted(set(drawn_signs(0, 0, 20)))
    [np.float64(-1.0), np.float64(1.0)]
    """
    neurons = np.arange(first, first + count)
    blocks = np.arange(first // 4096, (first + count - 1) // 4096 + 1)
    words = _words(1, blocks.astype(np.uint64), 4096, seed)
    return 1.0 - 2.0 * (words[neurons // 4096 - blocks[0], neurons % 4096, 0] & np.uint64(1)).astype(
        np.float64
    )
