"""The paths of single neurons along given residuals: when their patterns change, and what that adds to the outputs.

Formula: ``z_i(s) = z_i - unit (sum_j c_j(s) D_ji + sum_l K_il q_l(s))`` over the candidates i of a neuron,
    ``unit`` being ``a_r / sqrt(m)``; q_l follows ``p <- beta p + d_l g_l(s), q <- q + b p + c d_l g_l(s)``,
    with beta, b, c of the step and d the change of the pattern since the start.  ``S_i(s) = sum_r a_r
    d_ir z_ir``.  Squared drift: ``a_r^2 / m`` times ``sum_jk G_jk w_jk(s) + sum_l q_l (2 D_l(s) + (K q)_l)``
    but for what the knots leave out of the first sum.
Layout: candidates in neuron order; D ``[set of 16][entry][16]``; gradients and S by sample, so that a
    neuron walks along few rows of them; events in neuron order, their steps ascending for each neuron, with
    ``2 sample + on``.
Owner: a task has a fixed range of neurons, its own events, its own S and its own records.
Cost: steps x ceil(candidates / 16) x (rank + changed samples) multiply-adds a neuron.
Bound: multiply-adds from the first-level cache.
Machine: any; vectors of sixteen lanes.
Accumulation: z in working precision; K q is added up along the path; S in float64, in neuron order within
    a range.  `doubt_of` bounds how wrong z is, in the worst case; candidates closer to zero than that are
    counted, and what is said of others (`need_of`, records of drifts) allows for it.
Rejected: the directions of eight steps at once, in eight accumulators (no change: events and the samples that
    follow them take most of the time); K q summed anew at each step (as many terms as samples have changed,
    not as are changing); gradients and S by step (1.5 times slower: a miss of the first-level cache for
    every changed sample and step).
"""

from collections import namedtuple

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lane_bits import active_bits, lowest_bit, popcount
from fastntk.kernels.cpu.lanes import (
    broadcast,
    larger,
    load,
    magnitude,
    multiply_add,
    spread,
    store,
    zeros,
)
from fastntk.kernels.cpu.path_drift import changed_drift, record_drift, squared_drifts

# first (m + 1,), sample, value, speed: entries in neuron order.  speed: p at the start, or empty; offset: what the
# weights' change before has done to the entries, or empty.
Candidates = namedtuple("Candidates", "first sample value speed offset D")
# directions (steps + 1, R); gradients (n, steps), weighted; motion (steps, 3): beta, b, c
Course = namedtuple("Course", "directions gradients motion")
# K (n, columns); influence (n, columns): |K_li| over what entry i is allowed; unit (m,); a (m,)
Neurons = namedtuple("Neurons", "K influence unit a")
# travel (n,): at least |q_l| whenever l changes; coast: the same of a speed of 1; far (n,): max_i |K_il|; path: how
# wrong sum_j c_j D_ji is, at most; length: at least that sum, and the offsets; unit: of rounding; terms: operations
# on the way to a q
Rounding = namedtuple("Rounding", "travel coast far path length unit terms")
# of a thread: vectors of candidates, of changed samples (slots), of steps; D (rank, candidates); products (the first
# slots, candidates), those of later ones are looked up in K
Scratch = namedtuple(
    "Scratch", "z start lin moved q now turned change D products slot index live p most near squared"
)
# neuron, step, sample (ranges, room); S (ranges, n, steps + 1); need, within, doubt (m,); best, bar, records of drifts
Found = namedtuple("Found", "neuron step sample S need within doubt best bar leader moment rest unsure")

_FAR = 1e30  # from zero: padding


@kernel
def take_candidates(candidates, r, vectors, scratch):
    """Values and directions of the candidates of a neuron, side by side; padding never changes."""
    first = candidates.first[r]
    k, padded = candidates.first[r + 1] - first, 16 * vectors
    rank = scratch.D.shape[0]
    for x in range(padded):
        inside = x < k
        scratch.start[x] = candidates.value[first + x] if inside else _FAR
        scratch.moved[x] = 0
        scratch.change[x] = 0
        scratch.q[x] = 0
        scratch.slot[x] = -1
        for part in range((rank + 15) // 16):
            row = candidates.D[part, first + x if inside else 0]
            for lane in range(min(16, rank - 16 * part)):
                scratch.D[16 * part + lane, x] = row[lane] if inside else 0
    for v in range(vectors):
        scratch.now[v] = active_bits(load(scratch.start, 16 * v))


@kernel
def watch(candidates, K, r, x, changed, vectors, scratch):
    """Candidate x of neuron r changes for the first time: its products with the others are kept, if there is room."""
    first = candidates.first[r]
    k, row = candidates.first[r + 1] - first, K[candidates.sample[first + x]]
    scratch.slot[x] = changed
    scratch.index[changed] = x
    scratch.p[changed] = 0
    scratch.most[changed] = 0
    if changed >= scratch.products.shape[0]:
        return
    products = scratch.products[changed]
    for y in range(k):
        products[y] = row[candidates.sample[first + y]]
    for y in range(k, 16 * vectors):
        products[y] = 0


@kernel
def move(candidates, course, K, r, step, living, vectors, scratch):
    """Let the coefficients q of the living samples of a neuron follow the gradients of a step."""
    beta, ahead, direct = course.motion[step, 0], course.motion[step, 1], course.motion[step, 2]
    first, width = candidates.first[r], scratch.products.shape[1]
    for j in range(living):
        f = scratch.live[j]
        x = scratch.index[f]
        push = scratch.change[x] * course.gradients[candidates.sample[first + x], step]
        speed = beta * scratch.p[f] + push
        scratch.p[f] = speed
        added = ahead * speed + direct * push
        q = scratch.q[x] + added
        scratch.q[x] = q
        scratch.most[f] = max(scratch.most[f], abs(q))
        if f >= scratch.products.shape[0]:
            products = K[candidates.sample[first + x]]
            for y in range(candidates.first[r + 1] - first):
                scratch.moved[y] += added * products[candidates.sample[first + y]]
            continue
        factor = spread(scratch.q, added)
        for v in range(vectors):
            row = load(scratch.products, f * width + 16 * v)
            store(scratch.moved, 16 * v, multiply_add(factor, row, load(scratch.moved, 16 * v)))


@kernel
def doubt_of(rounding, adds, pulled):
    """How wrong a displacement is, at most, in the unit ``|a_r| / sqrt(m)``, after so many additions to K q."""
    return rounding.path + (adds + rounding.terms) * rounding.unit * pulled


@kernel
def signs(course, unit, r, step, doubt, vectors, scratch):
    """Pre-activations of the candidates at a step: whether any sign has changed, and how many are in doubt."""
    any_turned, close = np.uint16(0), 0
    limit = spread(scratch.z, doubt)
    rank, width = course.directions.shape[1], scratch.D.shape[1]
    scale = broadcast(unit, r)
    for v in range(vectors):
        lin = zeros(scratch.z)
        for j in range(rank):
            lin = multiply_add(
                broadcast(course.directions, step * rank + j), load(scratch.D, j * width + 16 * v), lin
            )
        store(scratch.lin, 16 * v, lin)
        z = load(scratch.start, 16 * v) - scale * (lin + load(scratch.moved, 16 * v))
        store(scratch.z, 16 * v, z)
        turned = active_bits(z) ^ scratch.now[v]
        scratch.turned[v] = turned
        any_turned |= turned
        close += np.int64(popcount(active_bits(limit - magnitude(z))))
    return any_turned != np.uint16(0), close


@kernel
def carries(course, step):
    """Whether the step that comes next keeps velocities; the last one is as the step before."""
    return course.motion[min(step, course.motion.shape[0] - 1), 0] != 0


@kernel
def drop(living, scratch):
    """Forget the samples that are as at the start again, once their velocities are of no more use."""
    kept = 0
    for j in range(living):
        f = scratch.live[j]
        if scratch.change[scratch.index[f]] != 0:
            scratch.live[kept] = f
            kept += 1
    return kept


@kernel
def turn(candidates, r, x, on, coasting, living, scratch):
    """Candidate x changes; how many samples are living: those that differ from the start, or have a speed."""
    scratch.change[x] = 0 if scratch.change[x] != 0 else (1 if on else -1)
    f = scratch.slot[x]
    if scratch.change[x] != 0 or coasting:
        for j in range(living if coasting else 0):
            if scratch.live[j] == f:
                return living
        scratch.live[living] = f
        scratch.p[f] = 0
        return living + 1
    for j in range(living):
        if scratch.live[j] == f:
            scratch.live[j] = scratch.live[living - 1]
    return living - 1


@kernel
def travel_of(candidates, rounding, r, x):
    """At least the way of q of candidate x."""
    at = candidates.first[r] + x
    speed = abs(candidates.speed[at]) if candidates.speed.size else 0.0
    return rounding.travel[candidates.sample[at]] + rounding.coast * speed


@kernel
def need_of(candidates, influence, rounding, r, changed, scratch):
    """How far changed samples can have moved the entries of a neuron that are not candidates, over what is allowed."""
    most, width = scratch.near.size, influence.shape[1]
    for f in range(changed):
        way = travel_of(candidates, rounding, r, scratch.index[f])
        scratch.most[f] += 2.0 * rounding.terms * rounding.unit * way
    for at in range(0, most, 16):
        near = zeros(scratch.near)
        for f in range(changed):
            row = candidates.sample[candidates.first[r] + scratch.index[f]]
            near = multiply_add(broadcast(scratch.most, f), load(influence, row * width + at), near)
        store(scratch.near, at, near)
    for x in range(candidates.first[r], candidates.first[r + 1]):
        scratch.near[candidates.sample[x]] = 0
    largest = zeros(scratch.near)
    for at in range(0, most, 16):
        largest = larger(load(scratch.near, at), largest)
    store(scratch.near, 0, largest)
    found = scratch.near[0]
    for lane in range(1, 16):
        found = max(found, scratch.near[lane])
    return found


@kernel
def follow(candidates, course, neurons, rounding, drift, found, scratch, part, r, events, records):
    """The path of one neuron: the numbers of events and of records so far, beyond the room if that is too small."""
    first, coasting = candidates.first[r], False
    k = candidates.first[r + 1] - first
    vectors, changed, living, a = (k + 15) // 16, 0, 0, np.float64(neurons.a[r])
    way, pulled, adds, within, unit = 0.0, 0.0, 0, 0, abs(np.float64(neurons.unit[r]))
    take_candidates(candidates, r, vectors, scratch)
    for x in range(k if candidates.speed.size else 0):
        if candidates.speed[first + x] != 0:
            watch(candidates, neurons.K, r, x, changed, vectors, scratch)
            more = travel_of(candidates, rounding, r, x)
            way, pulled = way + more, pulled + more * rounding.far[candidates.sample[first + x]]
            scratch.p[changed] = candidates.speed[first + x]
            scratch.live[living] = changed
            changed, living = changed + 1, living + 1
    drifts = drift.weights.size > 0
    if drifts:
        squared_drifts(drift, r, scratch)
    for step in range(1, course.directions.shape[0]):
        move(candidates, course, neurons.K, r, step - 1, living, vectors, scratch)
        adds += living
        coasted, coasting = coasting, carries(course, step)
        if coasted and not coasting:
            living = drop(living, scratch)
        doubt = doubt_of(rounding, adds, pulled)
        turned, close = signs(course, neurons.unit, r, step, unit * doubt, vectors, scratch)
        within += close
        if turned:
            for v in range(vectors):
                left = np.uint64(scratch.turned[v])
                while left != np.uint64(0):
                    x = 16 * v + lowest_bit(left)
                    left &= left - np.uint64(1)
                    on = scratch.z[x] >= 0
                    if events < found.neuron.shape[1]:
                        found.neuron[part, events] = r
                        found.step[part, events] = step
                        found.sample[part, events] = 2 * candidates.sample[first + x] + on
                    events += 1
                    if scratch.slot[x] < 0:
                        watch(candidates, neurons.K, r, x, changed, vectors, scratch)
                        changed += 1
                        more = travel_of(candidates, rounding, r, x)
                        way, pulled = way + more, pulled + more * rounding.far[candidates.sample[first + x]]
                    living = turn(candidates, r, x, on, coasting, living, scratch)
                scratch.now[v] ^= scratch.turned[v]
        S = found.S[part]
        for j in range(living):
            x = scratch.index[scratch.live[j]]
            S[candidates.sample[first + x], step] += a * np.float64(scratch.change[x] * scratch.z[x])
        if drifts and found.bar[part, step] < np.inf:
            rest = changed_drift(candidates, first, k, vectors, scratch) if changed else 0.0
            squared = a * a * (scratch.squared[step] + rest)
            relative = 2.0 * (vectors + rounding.terms) * rounding.unit
            unsure = way * (4.0 * doubt + relative * (rounding.length + pulled))
            wrong = a * a * (drift.doubt[step] + unsure)
            if squared + wrong >= found.bar[part, step]:
                records = record_drift(drift, found, part, r, squared, wrong, step, rest, unsure, records)
    found.need[r] = need_of(candidates, neurons.influence, rounding, r, changed, scratch) if changed else 0
    found.within[r], found.doubt[r] = within, unit * doubt_of(rounding, adds, pulled)
    return events, records


@kernel
def scratch_of(scratch, thread):
    """The scratch of one thread."""
    return Scratch(
        scratch.z[thread], scratch.start[thread], scratch.lin[thread], scratch.moved[thread],
        scratch.q[thread], scratch.now[thread], scratch.turned[thread], scratch.change[thread],
        scratch.D[thread], scratch.products[thread], scratch.slot[thread], scratch.index[thread],
        scratch.live[thread], scratch.p[thread], scratch.most[thread], scratch.near[thread],
        scratch.squared[thread],
    )  # fmt: skip


@kernel(parallel=True)
def path_sweep(candidates, course, neurons, rounding, drift, found, scratch, events, records):
    """events, records (ranges,): their numbers; S, best, bar start at 0; bar is infinite where no drift is wanted."""
    m, ranges = candidates.first.size - 1, events.size
    for part in numba.prange(ranges):
        own = scratch_of(scratch, numba.get_thread_id())
        events_so_far, records_so_far = 0, 0
        for r in range(part * m // ranges, (part + 1) * m // ranges):
            events_so_far, records_so_far = follow(
                candidates, course, neurons, rounding, drift, found, own, part, r, events_so_far, records_so_far
            )  # fmt: skip
        events[part], records[part] = events_so_far, records_so_far
