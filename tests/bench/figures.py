"""Figures of what happened to numbered datagrams, and whether two of them can be of one kind.

A difference may be four standard deviations, of two samples; where neighbours are alike, the standard deviation of a
share grows by sqrt((1 + r) / (1 - r)), r being the correlation of neighbours. Tests of distributions have the chance
of such a difference, 6 in 100,000. What a clock adds is allowed for besides. Only the standard library.
"""
import array
import bisect
import math
import struct

SIGMAS = 4
# The quantile of the normal distribution that a chi^2 is above with that chance, and of Kolmogorov's.
ONE_SIDED = 3.83
KOLMOGOROV = math.sqrt(-math.log(6.3e-5 / 2) / 2)
WHOLE = 2**32 - 1


class Sample:
    """A file of `numbered`."""

    def __init__(self, path):
        data = path.read_bytes()
        self.count, arrived = struct.unpack_from("<QQ", data)
        behind = 16 + 8 * self.count
        self.sent = array.array("Q", data[16:behind])
        words = array.array("I", data[behind : behind + 16 * arrived])
        self.numbers, self.wrong = words[0::4], words[1::4]
        self.at = array.array("Q", data[behind : behind + 16 * arrived])[1::2]
        self.copies = bytearray(self.count)
        for number in self.numbers:
            self.copies[number] += 1

    def lost(self):
        return bytes(copies == 0 for copies in self.copies)

    def twice(self):
        return bytes(copies > 1 for copies in self.copies)

    def corrupted(self):
        found = bytearray(self.count)
        for number, wrong in zip(self.numbers, self.wrong):
            found[number] |= wrong != WHOLE
        return found

    def waits(self, shift=0):
        """How long each took that arrived, in the order of their numbers, ns."""
        first = [0] * self.count
        for number, at in zip(reversed(self.numbers), reversed(self.at)):
            first[number] = at
        return [at - sent - shift for at, sent in zip(first, self.sent) if at]

    def before_the_one_before(self):
        """Whether each arrived before the one that was sent before it, of those that arrived."""
        place = [None] * self.count
        for at, number in enumerate(self.numbers):
            place[number] = at
        arrived = [at for at in place if at is not None]
        return bytes([0] + [after < before for before, after in zip(arrived, arrived[1:])])

    def spacings(self):
        return sorted(after - before for before, after in zip(self.at, self.at[1:]))


def share(name, one, two):
    """One row: shares of ones in two series."""
    p, q = sum(one) / len(one), sum(two) / len(two)
    bound = SIGMAS * math.hypot(deviation(one, p), deviation(two, q))
    return name, f"{p:.3%}", f"{q:.3%}", f"± {bound:.3%}", abs(p - q) <= bound


def deviation(series, p):
    both = sum(a & b for a, b in zip(series, series[1:])) / (len(series) - 1)
    variance = p * (1 - p)
    r = min(0.999, max(0.0, (both - p * p) / variance)) if variance else 0
    return math.sqrt(variance / len(series) * (1 + r) / (1 - r))


def runs(series, value):
    """How long each run of a value is; the one that the end cuts is left out."""
    lengths, length = [], 0
    for bit in series:
        if bit == value:
            length += 1
        elif length:
            lengths.append(length)
            length = 0
    return lengths


def mean_run(name, one, two):
    """One row: mean lengths of runs of ones."""
    (p, v, n), (q, w, m) = (moments(runs(series, 1)) for series in (one, two))
    bound = SIGMAS * math.sqrt(v / n + w / m)
    return name, f"{p:.3f}", f"{q:.3f}", f"± {bound:.3f}", abs(p - q) <= bound


def moments(values):
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / (len(values) - 1), len(values)


def same_lengths(name, one, two, value):
    """One row: whether runs of a value are equally long, by chi^2."""
    return same_counts(name, runs(one, value), runs(two, value), "runs")


def same_counts(name, one, two, of):
    """One row: chi^2 of two samples of small numbers, above 32 in classes of a fourth."""
    def group(number):
        return number if number <= 32 else 32 + int(4 * math.log2(number / 32))

    counts = {}
    for side, sample in enumerate((one, two)):
        for number in sample:
            counts.setdefault(group(number), [0, 0])[side] += 1
    classes = [[0, 0]]
    for _, pair in sorted(counts.items()):
        classes[-1] = [a + b for a, b in zip(classes[-1], pair)]
        if sum(classes[-1]) >= 20:
            classes.append([0, 0])
    rest = classes.pop()
    if classes:
        classes[-1] = [a + b for a, b in zip(classes[-1], rest)]
    n, m = len(one), len(two)
    chi = sum((a * math.sqrt(m / n) - b * math.sqrt(n / m)) ** 2 / (a + b) for a, b in classes)
    free = len(classes) - 1
    bound = free * (1 - 2 / (9 * free) + ONE_SIDED * math.sqrt(2 / (9 * free))) ** 3 if free else 0
    return name, f"{n:,} {of}", f"{m:,} {of}", f"chi^2 {chi:.1f} of at most {bound:.1f}", chi <= bound


def same_distribution(name, one, two, noise, allowed=0):
    """One row: the largest distance of two cumulative distributions, of times that may be off by `noise`, ns."""
    one, two = sorted(one), sorted(two)
    distance = 0
    for early, late in ((one, two), (two, one)):
        # A look at each fiftieth misses at most 50 of a million.
        for value in early[::50] + late[::50]:
            for place in (bisect.bisect_left, bisect.bisect_right):
                below = place(early, value - noise) / len(early) - place(late, value) / len(late)
                distance = max(distance, below)
    bound = KOLMOGOROV * math.sqrt(1 / len(one) + 1 / len(two)) + allowed
    return name, f"{len(one):,}", f"{len(two):,}", f"distance {distance:.5f} of at most {bound:.5f}", distance <= bound


def quantile(sample, share):
    """Of a sorted sample."""
    return sample[min(len(sample) - 1, int(share * len(sample)))]


def quantiles(what, one, two, shares, noise):
    """A row each: quantiles of times, ns. `noise` is what the clocks may add."""
    one, two = sorted(one), sorted(two)
    for p in shares:
        # How far the quantile moves when the share moves by its standard deviations.
        step = SIGMAS * math.sqrt(p * (1 - p) * (1 / len(one) + 1 / len(two)))
        bound = (quantile(one, min(1, p + step)) - quantile(one, max(0, p - step))) / 2 + noise
        a, b = quantile(one, p), quantile(two, p)
        yield f"{what}, {p:.0%}", f"{a / 1e6:.3f} ms", f"{b / 1e6:.3f} ms", f"± {bound / 1e6:.3f} ms", abs(a - b) <= bound
