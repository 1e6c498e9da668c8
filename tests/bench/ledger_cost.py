#!/usr/bin/env python3
"""What keeping the ledger costs: the same job with --ledger on and off, in turn.

Each round runs both, the order changing from round to round, so that what else the machine does falls on both alike.
Prints every pair, the median ratio of tokens per second (off / on - 1 is the cost), and the goal. One rank's processor
time is compared too: on a machine that others use it says more than the clock on the wall (several ranks spin while
they wait, so theirs says nothing).

    ledger_cost.py BUILD [--ranks 1] [--rounds 10] [--requests 256] [--layout "--tp 2"]
"""
import argparse
import os
import re
import resource
import statistics
import subprocess


def measure(args, ledger):
    command = [f"{args.build}/bin/argosy", "bench", "--requests", str(args.requests), "--input-tokens", "64",
               "--output-tokens", "64", "--ledger", ledger, *args.layout.split()]
    if args.ranks > 1:
        here = os.path.dirname(os.path.abspath(__file__))
        command = [f"{here}/../support/mpirun.sh", "120", str(args.ranks)] + command
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=dict(os.environ, OMP_NUM_THREADS="1"), capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return float(re.search(r"total ([\d.]+) tok/s", done.stdout).group(1)), cpu_s


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=256)
    parser.add_argument("--layout", default="")
    args = parser.parse_args()
    ratios, cpu_ratios = [], []
    for number in range(args.rounds):
        order = ["on", "off"] if number % 2 == 0 else ["off", "on"]
        run = {ledger: measure(args, ledger) for ledger in order}
        (on, on_cpu), (off, off_cpu) = run["on"], run["off"]
        ratios.append(off / on)
        cpu_ratios.append(on_cpu / off_cpu)
        print(f"round {number + 1}: on {on:.1f} tok/s {on_cpu:.3f} cpu-s, off {off:.1f} tok/s {off_cpu:.3f} cpu-s, cost "
              f"{100 * (ratios[-1] - 1):+.2f} %", flush=True)
    if args.ranks == 1:
        print(f"processor time {100 * (statistics.median(cpu_ratios) - 1):+.2f} % (median, from "
              f"{100 * (min(cpu_ratios) - 1):+.2f} to {100 * (max(cpu_ratios) - 1):+.2f})")
    print(f"ledger costs {100 * (statistics.median(ratios) - 1):+.2f} % (median of {args.rounds} pairs, from "
          f"{100 * (min(ratios) - 1):+.2f} to {100 * (max(ratios) - 1):+.2f}); goal: under 1 %")


if __name__ == "__main__":
    main()
