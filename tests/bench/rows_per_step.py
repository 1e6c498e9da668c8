#!/usr/bin/env python3
"""Sets many rows a step against one row a step: same binary, same model, same flags but --max-rows and --requests.

A step of one row reads every active weight from memory for one token; a step of 512 rows reads the weights once for
all of them and is bound by arithmetic. The script alternates both, with the machine's limits measured between them,
and prints each run, the medians and their ratio.

    rows_per_step.py BUILD CONFIG_JSON [--rounds N] [--threads N] [--rows 512] [--input 128] [--output 128]
                     [--numerics exact]
"""
import argparse
import os
import re
import statistics
import subprocess


def run(command, threads):
    env = dict(os.environ, OMP_NUM_THREADS=str(threads))
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def limits(build, threads):
    out = run([f"{build}/tests/bench/argosy_ops_bench", "--threads", str(threads), "only the limits"], threads)
    return tuple(float(x) for x in re.search(r"limits: ([\d.]+) GFLOP/s, .* ([\d.]+) GB/s", out).groups())


def tokens_per_second(build, config, rows, requests, args):
    command = [f"{build}/bin/argosy", "bench", "--model", config, "--weights", "random:1", "--requests", str(requests),
               "--input-tokens", str(args.input), "--output-tokens", str(args.output), "--max-rows", str(rows), "--numerics", args.numerics]
    out = run(command, args.threads)
    return tuple(float(x) for x in re.search(r"prefill ([\d.]+) tok/s  decode ([\d.]+) tok/s  total ([\d.]+)", out).groups())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("config")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--requests", type=int, default=512, help="of the run with many rows; as many as rows keep every decode step full")
    parser.add_argument("--input", type=int, default=128)
    parser.add_argument("--output", type=int, default=128)
    parser.add_argument("--numerics", default="exact")
    args = parser.parse_args()
    many, one, peaks = [], [], []
    for _ in range(args.rounds):
        peaks.append(limits(args.build, args.threads))
        many.append(tokens_per_second(args.build, args.config, args.rows, args.requests, args))
        one.append(tokens_per_second(args.build, args.config, 1, 4, args))
        print(f"limits {peaks[-1][0]:.0f} GFLOP/s {peaks[-1][1]:.1f} GB/s | {args.rows} rows: prefill {many[-1][0]} decode "
              f"{many[-1][1]} total {many[-1][2]} tok/s | 1 row: prefill {one[-1][0]} decode {one[-1][1]} total "
              f"{one[-1][2]} tok/s | ratio {many[-1][2] / one[-1][2]:.2f}", flush=True)
    print(f"median ratio {statistics.median(m[2] / o[2] for m, o in zip(many, one)):.2f}")


main()
