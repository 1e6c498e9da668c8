#!/usr/bin/env python3
"""What keeping the ledger costs, with one process and in layouts of two ranks.

`argosy bench --ledger measure` keeps the ledger in every second step and compares neighbours, since two whole runs
differ by far more than a ledger costs on any machine that others use. The script does so several times per layout and
prints each run, the median of their medians, and the goal. Steps of the demo model are short (2 to 3 ms), so that the
same nanoseconds weigh most there; give a model of the size that matters with --model.

    ledger_cost.py BUILD [--rounds 10] [--rows 64] [--output-tokens 400] [--model FOLDER_OR_CONFIG [--weights random:1]]
"""
import argparse
import os
import re
import statistics
import subprocess

LAYOUTS = ["", "--tp 2", "--ep 2", "--replicas 2"]


def measure(args, layout):
    command = [f"{args.build}/bin/argosy", "bench", "--requests", str(args.rows), "--input-tokens", "64",
               "--output-tokens", str(args.output_tokens), "--max-rows", str(args.rows), "--ledger", "measure",
               *layout.split()]
    if args.model:
        command += ["--model", args.model] + (["--weights", args.weights] if args.weights else [])
    if layout:
        here = os.path.dirname(os.path.abspath(__file__))
        command = [f"{here}/../support/mpirun.sh", "600", "2"] + command
    done = subprocess.run(command, env=dict(os.environ, OMP_NUM_THREADS="1"), capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    cost, pairs = re.search(r"ledger  costs ([+-][\d.]+) % of a step \(median of (\d+) pairs", done.stdout).groups()
    return float(cost), int(pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--rows", type=int, default=64, help="requests, and rows of a step")
    parser.add_argument("--output-tokens", type=int, default=400)
    parser.add_argument("--model", default="")
    parser.add_argument("--weights", default="")
    args = parser.parse_args()
    costs = {layout: [] for layout in LAYOUTS}
    for number in range(args.rounds):
        for layout in LAYOUTS:
            cost, pairs = measure(args, layout)
            costs[layout].append(cost)
            print(f"round {number + 1}: {layout or '1 rank'}: {cost:+.2f} % ({pairs} pairs of steps)", flush=True)
    for layout, seen in costs.items():
        print(f"{layout or '1 rank':14} ledger costs {statistics.median(seen):+.2f} % of a step (median of {len(seen)} "
              f"runs, from {min(seen):+.2f} to {max(seen):+.2f}); goal: under 1 %")


if __name__ == "__main__":
    main()
