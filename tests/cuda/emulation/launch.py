"""Executes the PTX of a kernel on the host: all threads of some blocks at once, each register a NumPy array.

Threads follow their own branches; those at the smallest instruction go first, so paths meet again. Between two barriers
one half of the threads, drawn anew, is ahead of the other, so that a missing barrier shows. Loads and stores must be
aligned and stay within one allocation; registers and shared memory that nothing has written hold NaN or large numbers.
"""

import re

import numpy as np

from tests.cuda.emulation.arithmetic import OPERATIONS, compared, converted, shifted
from tests.cuda.emulation.memory import indices

_ORDER = np.random.default_rng(0)
_LANES = 2**15  # threads executed at once, if a block is not larger
_SHARED, _LOCAL = 2**56, 2**57  # where the windows of these memories begin
_REGISTER = {
    "p": np.bool_,
    "rs": np.uint16,
    "r": np.uint32,
    "rd": np.uint64,
    "f": np.float32,
    "fd": np.float64,
}
_DTYPES = {
    f"{kind}{bits}": np.dtype(f"{letter}{bits // 8}")
    for kind, letter in (("u", "u"), ("s", "i"), ("b", "u"), ("f", "f"))
    for bits in (8, 16, 32, 64)
    if (kind, bits) != ("f", 8)
} | {"pred": np.dtype(np.bool_)}


class Launch:
    """The execution of a program by some blocks of a grid."""

    def __init__(self, program, memory, arguments, grid, block, chosen):
        self.program, self.memory = program, memory
        self.threads = int(np.prod(block))
        self.lanes = self.threads * len(chosen)
        self.registers = {}
        thread = np.tile(np.arange(self.threads), len(chosen))
        self.block = np.repeat(np.arange(len(chosen)), self.threads)
        place = np.repeat(np.array(chosen), self.threads, axis=0)
        for axis, name in enumerate("xyz"):
            before = int(np.prod(block[:axis]))
            for register, values in (
                ("tid", thread // before % block[axis]),
                ("ctaid", place[:, axis]),
                ("ntid", np.full(self.lanes, block[axis])),
                ("nctaid", np.full(self.lanes, grid[axis])),
            ):
                self.registers[f"%{register}.{name}"] = values.astype(np.uint32)
        self.shared = np.full((len(chosen), program.shared_bytes), 0x7F, np.uint8)
        self.local = np.full((self.lanes, program.local_bytes), 0x7F, np.uint8)
        self.arguments = dict(zip(program.parameters, arguments, strict=True))
        self.at = np.zeros(self.lanes, np.int64)  # block of instructions that comes next
        self.waiting = np.zeros(self.lanes, np.bool_)

    def run(self):
        """Until all threads have returned."""
        end = len(self.program.blocks)
        while (self.at < end).any():
            ahead = _ORDER.random(self.lanes) < 0.5
            for half in (ahead, ~ahead):
                while (ready := half & ~self.waiting & (self.at < end)).any():
                    first = int(self.at[ready].min())
                    self._execute(first, np.flatnonzero(ready & (self.at == first)))
            self.waiting[:] = False  # all that are left have come to the barrier

    def _execute(self, number, lanes):
        self.now = slice(None) if lanes.size == self.lanes else lanes
        self.at[lanes] = number + 1
        for guard, operation, operands in self.program.blocks[number]:
            kind = operation[0]
            if kind == "bra":
                taken = lanes if guard is None else lanes[self._guard(guard)]
                self.at[taken] = self.program.starts[operands[0]]
            elif kind == "ret":
                self.at[lanes if guard is None else lanes[self._guard(guard)]] = len(self.program.blocks)
            elif kind == "bar":
                self.waiting[lanes] = True
            else:
                assert guard is None, "only branches are guarded"
                self._step(kind, operation[1:], operands)

    def _guard(self, guard):
        taken = self._value(guard.lstrip("!"), np.bool_)
        return ~taken if guard.startswith("!") else taken

    def _register(self, name):
        if name not in self.registers:
            dtype = np.dtype(_REGISTER.get(re.fullmatch(r"%([a-z]+)\d*", name)[1], np.uint32))
            unset = np.nan if dtype.kind == "f" else dtype.kind == "b" or np.iinfo(dtype).max // 3
            self.registers[name] = np.full(self.lanes, unset, dtype)
        return self.registers[name]

    def _value(self, text, dtype):
        """An operand, its bits read as that type."""
        dtype = np.dtype(dtype)
        if text.startswith("%"):
            values = self._register(text)[self.now]
            if values.dtype == dtype:
                return values
            if values.dtype.itemsize == dtype.itemsize and dtype.kind != "b":
                return values.view(dtype)
            return values.astype(f"u{values.dtype.itemsize}").astype(f"u{dtype.itemsize}").view(dtype)
        if text.startswith("0f"):
            return np.uint32(int(text[2:], 16)).view(np.float32)
        if text.startswith("0d"):
            return np.uint64(int(text[2:], 16)).view(np.float64)
        if text in self.program.shared:
            return np.uint64(_SHARED + self.program.shared[text]).astype(dtype)
        if text in self.program.local:
            return np.uint64(_LOCAL + self.program.local[text]).astype(dtype)
        if dtype.kind == "b":
            return np.bool_(int(text) != 0)
        return np.uint64(int(text, 0) % 2**64).astype(f"u{dtype.itemsize}").view(dtype)

    def _write(self, name, values):
        register = self._register(name)
        values = np.asarray(values)
        if values.dtype != register.dtype:
            if values.dtype.itemsize == register.dtype.itemsize:
                values = values.view(register.dtype)
            else:  # loads and conversions into a wider register
                wide = register.dtype.itemsize
                values = values.astype(f"{'i' if values.dtype.kind == 'i' else 'u'}{wide}").view(
                    register.dtype
                )
        register[self.now] = values

    def _step(self, kind, modifiers, operands):
        dtype = _DTYPES[modifiers[-1]] if modifiers and modifiers[-1] in _DTYPES else None
        if kind in ("ld", "st", "atom"):
            self._access(kind, modifiers, dtype, operands)
        elif kind == "setp":
            name, *rest = operands
            a, b = (self._value(text, dtype) for text in rest)
            self._write(name, compared(modifiers[0], a, b))
        elif kind == "selp":
            a, b = (self._value(text, dtype) for text in operands[1:3])
            self._write(operands[0], np.where(self._value(operands[3], np.bool_), a, b))
        elif kind == "mov" and "{" in "".join(operands):
            self._halves(*operands)
        elif kind == "cvt":
            target = _DTYPES[modifiers[-2]]
            self._write(operands[0], converted(self._value(operands[1], dtype), target, modifiers[:-2]))
        elif kind in ("shl", "shr"):
            count = self._value(operands[2], np.uint32).astype(np.uint64)
            self._write(operands[0], shifted(kind, self._value(operands[1], dtype), count))
        elif kind == "mul" and modifiers[0] == "wide":
            wide = np.dtype(f"{dtype.kind}{2 * dtype.itemsize}")
            a, b = (self._value(text, dtype).astype(wide) for text in operands[1:])
            self._write(operands[0], a * b)
        elif kind == "popc":
            self._write(operands[0], np.bitwise_count(self._value(operands[1], dtype)).astype(np.uint32))
        elif kind == "bfi":
            self._insert(dtype, operands)
        else:
            values = [self._value(text, dtype) for text in operands[1:]]
            self._write(operands[0], OPERATIONS[kind](*values).astype(dtype, copy=False))

    def _halves(self, target, source):
        """``mov`` between a register and the two halves of it."""
        names = re.findall(r"%\w+", target if "{" in target else source)
        if "{" in target:
            whole = self._value(source, np.uint64)
            for name, shift in zip(names, (0, 32), strict=True):
                self._write(name, (whole >> np.uint64(shift)).astype(np.uint32))
        else:
            low, high = (self._value(name, np.uint32).astype(np.uint64) for name in names)
            self._write(target, low | high << np.uint64(32))

    def _insert(self, dtype, operands):
        a, b = (self._value(text, dtype) for text in operands[1:3])
        start, length = (self._value(text, np.uint32).astype(dtype) for text in operands[3:])
        ones = ((dtype.type(1) << length) - dtype.type(1)) << start
        self._write(operands[0], (b & ~ones) | ((a << start) & ones))

    def _access(self, kind, modifiers, dtype, operands):
        where = operands[1] if kind != "st" else operands[0]
        text, _, offset = where.strip("[] ").partition("+")
        if modifiers[0] == "param":
            value = self.arguments[text]
            self._write(operands[0], np.array(getattr(value, "value", value)).astype(dtype))
            return
        addresses = np.broadcast_to(
            self._value(text, np.uint64) + np.uint64(int(offset or 0) % 2**64), self.block[self.now].shape
        )
        values = np.broadcast_to(self._value(operands[-1], dtype), addresses.shape) if kind != "ld" else None
        loaded = np.empty(addresses.shape, dtype)
        for which, memory, places in self._reached(addresses, dtype):
            if kind == "ld":
                loaded[which] = memory[places]
            elif kind == "st":
                memory[places] = values[which]
            else:
                np.add.at(memory, places, values[which])
        if kind == "ld":
            self._write(operands[0], loaded)

    def _reached(self, addresses, dtype):
        """Which lanes, the memory they reach, and where."""
        space = addresses >> np.uint64(56)
        lanes = np.arange(self.lanes)[self.now]
        for number, memory, rows in ((1, self.shared, self.block[self.now]), (2, self.local, lanes)):
            which = np.flatnonzero(space == number)
            if which.size:
                places = indices(addresses[which] - np.uint64(number << 56), memory.shape[1], dtype)
                width = memory.shape[1] // dtype.itemsize
                yield which, memory[:, : width * dtype.itemsize].view(dtype), (rows[which], places)
        which = np.flatnonzero(space == 0)
        if which.size:
            for some, memory, places in self.memory.parts(addresses[which], dtype):
                yield which[some], memory, places


def execute(program, memory, arguments, grid, block):
    """Run the program on a grid of blocks."""
    threads = int(np.prod(block))
    assert 0 < threads <= program.most_threads
    places = list(np.ndindex(*grid))
    some = max(1, _LANES // threads)
    with np.errstate(all="ignore"):
        for first in range(0, len(places), some):
            Launch(program, memory, arguments, grid, block, places[first : first + some]).run()
