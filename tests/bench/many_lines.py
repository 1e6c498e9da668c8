#!/usr/bin/env python3
"""What an input of many lines costs before the first step: seconds and bytes of memory per line, on several ranks.

A dry run over all lines does all that a job does before it reads weights: it finds the line ends, parses and tokenizes
every line, finds equal ids and makes the global order. Its time and peak memory are set against a dry run of one line.
Then a job with --limit runs to its end on the same file.

    many_lines.py BUILD [--lines 10000000] [--ranks 2] [--limit 20000] [--folder DIR]
"""
import argparse
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

PROMPTS = ["Q: {} plus {}\\nA:", "Tom has {} apples and {} pears. He", "Count from {} to {}:", "One day {} birds met {} cats"]


def write_lines(path, lines):
    with open(path, "w", buffering=1 << 20) as file:
        for i in range(lines):
            prompt = PROMPTS[i % len(PROMPTS)].format(i * 7919 % 1000, i * 104729 % 1000)
            file.write('{"id": "synthetic-%d", "prompt": "%s", "max_tokens": 4, "temperature": 0}\n' % (i, prompt))


def measure(command):
    """Runs as a rank: the program's own exit status, and its peak memory on standard error."""
    status = subprocess.run(command).returncode
    sys.stderr.write(f"peak {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024}\n")
    return status


def start(args, ranks, words):
    """Seconds and the highest peak of a rank in bytes."""
    root = os.geteuid() == 0
    env = dict(os.environ, OMPI_MCA_mpi_yield_when_idle="1", OMP_NUM_THREADS="1")
    if root:
        env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    command = ["timeout", "-k", "2", "550", "mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks),
               sys.executable, __file__, "--measure", f"{args.build}/bin/argosy", *words]
    begin = time.monotonic()
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    seconds = time.monotonic() - begin
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
    peaks = [int(number) for number in re.findall(r"peak (\d+)", done.stderr)]
    return seconds, max(peaks), done.stdout


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--measure":
        sys.exit(measure(sys.argv[2:]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--limit", type=int, default=20_000)
    parser.add_argument("--folder", help="where the input is written (default: a temporary folder)")
    args = parser.parse_args()
    args.build = str(pathlib.Path(args.build).resolve())
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        many, one = f"{folder}/many.jsonl", f"{folder}/one.jsonl"
        write_lines(many, args.lines)
        write_lines(one, 1)
        model = ["--model", f"{args.build}/share/argosy/demo"]
        base_s, base_bytes, _ = start(args, args.ranks, ["run", *model, "--input", one, "--dry-run"])
        all_s, all_bytes, plan = start(args, args.ranks, ["run", *model, "--input", many, "--dry-run"])
        print(plan)
        print(f"{args.lines} lines of {os.path.getsize(many) / args.lines:.1f} bytes on {args.ranks} ranks: start-up "
              f"{all_s:.1f} s ({base_s:.1f} s of it for one line), {(all_s - base_s) / args.lines * 1e6:.2f} s per million "
              f"lines; memory per rank {(all_bytes - base_bytes) / args.lines:.1f} bytes per line", flush=True)
        run_s, _, report = start(args, args.ranks, ["run", *model, "--input", many, "--limit", str(args.limit),
                                                    "--run-dir", f"{folder}/run", "--max-rows", "512"])
        answers = sum(1 for _ in open(f"{folder}/run/responses.jsonl"))
        print(f"--limit {args.limit}: {answers} answers in {run_s:.1f} s")
        print(*(line for line in report.splitlines() if line.startswith((" requests", " rate"))), sep="\n")


main()
