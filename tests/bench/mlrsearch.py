#!/usr/bin/env python3
"""Searches for the capacity of simulated servers with the library of MLRsearch's authors, as an oracle.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install MLRsearch==1.2.1
    /tmp/oracle/bin/python tests/bench/mlrsearch.py > examples/src/load/search/oracle.json

The file is committed; `examples/src/load/search/oracle_tests.rs` lets our search look for the same with the same servers (its
`simulated.rs` has the formulas of this file) and compares the brackets and the time.
"""
import json
import sys

from MLRsearch import (AbstractMeasurer, Config, MeasurementResult,
                       MultipleLossRatioSearch, SearchGoal)

MASK = (1 << 64) - 1


def uniform(seed, index):
    """SplitMix64, as a number from 0 to below 1."""
    bits = (seed + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & MASK
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & MASK
    return ((bits ^ bits >> 31) >> 11) / (1 << 53)


class Server(AbstractMeasurer):
    """A server of one kind: `loss` and `p99` follow from load, number of the trial and the time before it."""

    def __init__(self, server, goals):
        self.server, self.goals, self.trials, self.time = server, goals, 0, 0.0

    def loss(self, load, duration):
        server, kind = self.server, self.server["kind"]
        over = lambda limit: max(0.0, 1.0 - limit / load)
        if kind == "sharp":
            return over(server["limit"])
        if kind == "noisy":
            shift = 2.0 * uniform(server["seed"], self.trials) - 1.0
            return over(server["limit"] * (1.0 + server["noise"] * shift))
        if kind == "soft":
            return max(0.0, load / server["limit"] - 1.0) * server["slope"]
        if kind == "stalling":
            begins = int((self.time + duration) / server["every"]) - int(self.time / server["every"])
            stalled = min(1.0, begins * server["stall"] / duration)
            return max(over(server["limit"]), stalled)
        if kind == "queue":
            return over(server["limit"])
        raise ValueError(kind)

    def p99(self, load):
        """Seconds: an M/M/1 queue, whose time has an exponential distribution."""
        limit = self.server["limit"]
        return 4.605170185988092 / (limit - load) if load < limit else 1.0

    def measure(self, intended_duration, intended_load):
        loss = self.loss(intended_load, intended_duration)
        bound = self.server.get("p99")
        if bound is not None and self.p99(intended_load) >= bound:
            # The oracle knows loss only: just too much of it is what a missed condition is for the search.
            loss = max(loss, self.goals[0]["loss_ratio"] + 1e-4)
        self.trials += 1
        self.time += intended_duration
        # Counts that are large enough for the ratio to be exact.
        sent = 10**12
        return MeasurementResult(intended_duration=intended_duration, intended_load=intended_load,
                                 offered_count=sent, loss_count=round(sent * loss))


def goal(loss_ratio=0.0, exceed_ratio=0.5, width=0.01, initial=1.0, final=1.0, total=21.0):
    return {"loss_ratio": loss_ratio, "exceed_ratio": exceed_ratio, "width": width,
            "initial": initial, "final": final, "sum": total}


STRICT = goal(exceed_ratio=0.0, initial=1.0, final=60.0, total=60.0, width=0.005)
USUAL = goal(initial=1.0, final=10.0, total=30.0)
CSIT = goal(width=0.005)
SCENARIOS = [
    {"name": "a sharp limit", "server": {"kind": "sharp", "limit": 123_456.0}, "goals": [CSIT]},
    {"name": "a sharp limit, as RFC 2544 wants it", "server": {"kind": "sharp", "limit": 71_003.0}, "goals": [STRICT]},
    {"name": "a sharp limit near the highest rate", "server": {"kind": "sharp", "limit": 990_000.0}, "goals": [USUAL]},
    {"name": "a sharp limit near the lowest rate", "server": {"kind": "sharp", "limit": 103.0}, "goals": [USUAL]},
    {"name": "no limit", "server": {"kind": "sharp", "limit": 2e6}, "goals": [USUAL]},
    {"name": "less than the lowest rate", "server": {"kind": "sharp", "limit": 50.0}, "goals": [USUAL]},
    *({"name": f"noisy loss {seed}", "server": {"kind": "noisy", "limit": 50_000.0, "noise": 0.02, "seed": seed},
       "goals": [USUAL]} for seed in range(1, 31)),
    {"name": "three goals of a soft limit", "server": {"kind": "soft", "limit": 30_000.0, "slope": 0.2},
     "goals": [goal(), goal(loss_ratio=0.005), goal(loss_ratio=0.05, exceed_ratio=0.2, final=5.0)]},
    {"name": "a latency that rises", "server": {"kind": "queue", "limit": 40_000.0, "p99": 0.005},
     "goals": [goal(loss_ratio=0.001, final=10.0, total=30.0)]},
    {"name": "a latency that rises slowly", "server": {"kind": "queue", "limit": 40_000.0, "p99": 0.0004},
     "goals": [goal(loss_ratio=0.001, final=10.0, total=30.0)]},
    {"name": "a stall each ten seconds", "server": {"kind": "stalling", "limit": 20_000.0, "every": 10.0, "stall": 0.1},
     "goals": [CSIT]},
    {"name": "two goals with stalls", "server": {"kind": "stalling", "limit": 20_000.0, "every": 7.0, "stall": 0.1},
     "goals": [CSIT, goal(loss_ratio=0.01, exceed_ratio=0.34, width=0.02)]},
]


def main():
    found = []
    for scenario in SCENARIOS:
        goals = [SearchGoal(loss_ratio=g["loss_ratio"], exceed_ratio=g["exceed_ratio"], relative_width=g["width"],
                            initial_trial_duration=g["initial"], final_trial_duration=g["final"],
                            duration_sum=g["sum"], preceding_targets=2, expansion_coefficient=2, fail_fast=False)
                 for g in scenario["goals"]]
        lowest, highest = 100.0, 1_000_000.0
        server = Server(scenario["server"], scenario["goals"])
        config = Config()
        config.goals, config.max_load, config.min_load = goals, highest, lowest
        config.search_duration_max, config.warmup_duration = 1e9, None
        results = MultipleLossRatioSearch(config).search(server)
        bounds = []
        for wanted in goals:
            result = results[wanted]
            lower, upper = result.relevant_lower_bound, result.relevant_upper_bound
            through = result.conditional_throughput
            bounds.append({"lower": float(lower) if lower else None, "upper": float(upper) if upper else None,
                           "throughput": float(through) if through else None})
        found.append({**scenario, "lowest": lowest, "highest": highest, "found": bounds,
                      "trials": server.trials, "seconds": server.time})
    json.dump(found, sys.stdout, indent=1)
    print()


main()
