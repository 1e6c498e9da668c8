#!/usr/bin/env python3
"""Compares Argosy's tokenizer with the PyPI package `tokenizers` (encode_batch_fast): fresh processes in alternation, same text, same
documents, same threads; token counts and hashes of all ids must be equal. Prints one table of medians.

usage: tokenizer_speed.py --program BUILD/tests/runtime/text/tokenizer_speed --tokenizers DIR --text FILE... [--threads N] [--rounds N]
`--tokenizers` is a folder with gpt2/, qwen3/, llama3/, o200k/ and llama2/, each with a tokenizer.json or tokenizer.assembled.json.
The package is installed into a temporary folder with pip; --python names an interpreter that has it already."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

FAMILIES = ["gpt2", "qwen3", "llama3", "o200k", "llama2"]

PACKAGE_SIDE = r'''
import json, sys, time
path, threads, lines, files = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
from tokenizers import Tokenizer
text = "".join(open(f, encoding="utf-8", newline="").read() for f in files)
rows = text.split("\n")
rows = [row + "\n" for row in rows[:-1]] + ([rows[-1]] if rows[-1] else [])
documents = ["".join(rows[i:i + lines]) for i in range(0, len(rows), lines)] if lines else [text]
start = time.perf_counter()
tokenizer = Tokenizer.from_file(path)
loaded = time.perf_counter()
encodings = tokenizer.encode_batch_fast(documents, add_special_tokens=False)
done = time.perf_counter()
h = tokens = 0
for encoding in encodings:
    ids = encoding.ids
    tokens += len(ids)
    for i in ids:
        h = (h * 1000003 + i + 1) & 0xFFFFFFFFFFFFFFFF
print(json.dumps({"load_seconds": loaded - start, "encode_seconds": done - loaded, "bytes": len(text.encode()), "documents": len(documents),
                  "tokens": tokens, "hash": "%016x" % h}))
'''


def run(command, threads):
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"tokenizer_speed.py: {command[0]} failed: {result.stderr.strip()}")
    return json.loads(result.stdout)


def python_with_package(folder):
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(pathlib.Path(folder) / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", "tokenizers"], check=True)
    return python


def tokenizer_file(folder, family):
    for name in ("tokenizer.json", "tokenizer.assembled.json"):
        if (folder / family / name).exists():
            return str(folder / family / name)
    sys.exit(f"tokenizer_speed.py: {folder / family} has no tokenizer.json.")


def compare(options, python):
    version = subprocess.run([python, "-c", "import tokenizers; print(tokenizers.__version__)"], capture_output=True, text=True).stdout.strip()
    print(f"tokenizers {version}, {options.threads} thread(s), median of {options.rounds}, {options.lines} lines a document, "
          f"load average {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}")
    print(f"{'vocabulary':<10} {'tokens':>9} {'':>7} | {'load s: pkg':>11} {'ours':>7} {'ratio':>6} | {'encode s: pkg':>13} {'ours':>7} {'ratio':>6} "
          f"| {'total: pkg':>10} {'ours':>7} {'ratio':>6} | {'MB/s ours':>9}")
    worst = None
    for family in options.families:
        path = tokenizer_file(options.tokenizers, family)
        arguments = [path, str(options.threads), str(options.lines), *options.text]
        theirs, ours = [], []
        for _ in range(options.rounds):
            theirs.append(run([python, "-c", PACKAGE_SIDE, *arguments], options.threads))
            ours.append(run([options.program, *arguments], options.threads))
        kinds = {(r["tokens"], r["hash"], r["documents"]) for r in theirs + ours}
        if len(kinds) != 1:
            sys.exit(f"tokenizer_speed.py: {family}: the ids differ: {kinds}")
        row = {}
        for key in ("load_seconds", "encode_seconds", "total"):
            pair = [statistics.median(r["load_seconds"] + r["encode_seconds"] if key == "total" else r[key] for r in side)
                    for side in (theirs, ours)]
            row[key] = (*pair, pair[0] / pair[1])
        speed = ours[0]["bytes"] / row["encode_seconds"][1] / 1e6
        cells = [f"{a:>{w}.3f} {b:>7.3f} {c:>5.1f}x" for (a, b, c), w in zip(row.values(), (11, 13, 10))]
        print(f"{family:<10} {ours[0]['tokens']:>9} {'equal':>7} | " + " | ".join(cells) + f" | {speed:>9.1f}", flush=True)
        ratio = min(row["encode_seconds"][2], row["total"][2])
        worst = ratio if worst is None else min(worst, ratio)
    print(f"lowest ratio of encode and total: {worst:.1f}x (at least {options.least}x wanted)")
    return 0 if worst >= options.least else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--tokenizers", type=pathlib.Path, required=True)
    parser.add_argument("--text", nargs="+", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lines", type=int, default=20, help="lines a document; 0: all text is one document")
    parser.add_argument("--families", nargs="+", default=FAMILIES)
    parser.add_argument("--least", type=float, default=2.0, help="the status is 1 when a ratio is below this")
    parser.add_argument("--python", help="an interpreter with the package; without it one is made in a temporary folder")
    options = parser.parse_args()
    if options.python:
        return compare(options, options.python)
    with tempfile.TemporaryDirectory() as folder:
        return compare(options, python_with_package(folder))


sys.exit(main())
