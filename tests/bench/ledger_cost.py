#!/usr/bin/env python3
"""What keeping the ledger costs: the same job with --ledger on and off, in turn.

Each round runs both, the order changing from round to round, so that what else the machine does falls on both alike.
Prints every pair, the median ratio of tokens per second (off / on - 1 is the cost), and the goal.

    ledger_cost.py BUILD [--ranks 1] [--rounds 10] [--requests 256] [--layout "--tp 2"]
"""
import argparse
import os
import re
import statistics
import subprocess


def tokens_per_second(args, ledger):
    command = [f"{args.build}/bin/argosy", "bench", "--requests", str(args.requests), "--input-tokens", "64",
               "--output-tokens", "64", "--ledger", ledger, *args.layout.split()]
    if args.ranks > 1:
        here = os.path.dirname(os.path.abspath(__file__))
        command = [f"{here}/../support/mpirun.sh", "120", str(args.ranks)] + command
    done = subprocess.run(command, env=dict(os.environ, OMP_NUM_THREADS="1"), capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return float(re.search(r"total ([\d.]+) tok/s", done.stdout).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=256)
    parser.add_argument("--layout", default="")
    args = parser.parse_args()
    ratios = []
    for number in range(args.rounds):
        order = ["on", "off"] if number % 2 == 0 else ["off", "on"]
        rate = {ledger: tokens_per_second(args, ledger) for ledger in order}
        ratios.append(rate["off"] / rate["on"])
        print(f"round {number + 1}: on {rate['on']:.1f} tok/s, off {rate['off']:.1f} tok/s, cost "
              f"{100 * (ratios[-1] - 1):+.2f} %", flush=True)
    print(f"ledger costs {100 * (statistics.median(ratios) - 1):+.2f} % (median of {args.rounds} pairs, from "
          f"{100 * (min(ratios) - 1):+.2f} to {100 * (max(ratios) - 1):+.2f}); goal: under 1 %")


if __name__ == "__main__":
    main()
