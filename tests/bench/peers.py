#!/usr/bin/env python3
"""One table: argosy at fixed shapes beside other engines, this machine's limits and its load.

    peers.py BUILD [--peers FILE.jsonl] [--peer-limits DRAM,BF16,INT8] [--peer-run PRECISION=COMMAND]
             [--runs 3] [--peer-runs 3] [--only WORD]

FILE.jsonl holds a measured point of an engine per line: model (A, B, C: shapes/a.json and so on), job (batch, prefix), n,
precision, peer, total_tok_s, decode_tok_s. A row's best peer is the fastest of the row's precisions. Where it was measured
on another machine, --peer-limits (GB/s, GFLOP/s of bf16 products, Gop/s of int8) gives that machine's limits; ratios are
then those of the parts of the limits that both reach. With --peer-run an engine is measured here instead, turn by turn
with argosy: COMMAND gets --model A --n N --prefix P --prompt IN --new OUT and prints such a line. The limit of a row counts arithmetic and memory alone: each phase
takes the longer of the two, prefill reads all weights once, a decode step those of the experts it is expected to hit.
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import statistics
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).parent
INT8 = ("int8", "q8_0")
FOUR_BIT = ("q4_0", "q4_k_m", "int4", "mxfp4")

# name, shape, numerics, further options, precision of the limit, peers' precisions, requests, prefix, in, out
BATCH = [
    ("A, 128 requests, int8", "A", "int8", None, "int8", INT8 + FOUR_BIT, 128, 0, 128, 128),
    ("A, 128 requests, bf16", "A", "bf16", None, "bf16", ("bf16",), 128, 0, 128, 128),
    ("A, 128 requests, exact", "A", "exact", None, "f32", ("bf16",), 128, 0, 128, 128),
    ("A, 1 request, 4-bit", "A", "int8", "--weights-as mxfp4", "4-bit", FOUR_BIT, 1, 0, 128, 128),
    ("A, 1 request, int8", "A", "int8", None, "int8", INT8, 1, 0, 128, 128),
    ("A, 8 requests, int8", "A", "int8", None, "int8", INT8 + FOUR_BIT, 8, 0, 128, 128),
    ("A, 32 requests, int8", "A", "int8", None, "int8", INT8 + FOUR_BIT, 32, 0, 128, 128),
    ("A, 512 requests, int8", "A", "int8", None, "int8", (), 512, 0, 128, 128),
    ("A, 64 requests, prefix 1024, int8", "A", "int8", None, "int8", INT8 + FOUR_BIT, 64, 1024, 32, 32),
    ("A, 128 requests, int8, KV of int8", "A", "int8", "--kv-dtype int8", "int8", (), 128, 0, 128, 128),
    ("A, 64 requests, prefix 1024, int8, KV of int8", "A", "int8", "--kv-dtype int8", "int8", (), 64, 1024, 32, 32),
    ("B, 128 requests, int8", "B", "int8", None, "int8", INT8 + FOUR_BIT, 128, 0, 128, 128),
    ("C, 128 requests, int8", "C", "int8", None, "int8", INT8 + FOUR_BIT, 128, 0, 128, 128),
]
LAYOUTS = ["--tp 2 --etp 2", "--tp 2", "--dp 2", "--replicas 2"]
WEIGHT_BYTES = {"f32": 2.0, "bf16": 2.0, "int8": 1.03, "4-bit": 0.53}


def shape(name):
    return HERE / "shapes" / f"{name.lower()}.json"


def limit_tok_s(config, row, limits):
    """The most tokens per second that `limits` allow for a row's work."""
    _, _, _, _, precision, _, n, prefix, given, new = row
    peak = limits["int8" if precision == "4-bit" else precision] * 1e9
    dram = limits["dram"] * 1e9
    size = WEIGHT_BYTES[precision]
    h, q = config["hidden_size"], config["num_attention_heads"] * config["head_dim"]
    kv = config["num_key_value_heads"] * config["head_dim"]
    experts = config.get("num_experts", config.get("num_local_experts", 1))
    top_k = config.get("num_experts_per_tok", 1)
    expert = 3 * h * config.get("moe_intermediate_size", config["intermediate_size"])
    layers, head = config["num_hidden_layers"], h * config["vocab_size"]
    attention = 2 * h * (q + kv)
    chosen = layers * (attention + top_k * expert)

    def seconds(tokens, keys, wanted, hit, cached):
        operations = tokens * (2 * chosen + 4 * q * keys * layers) + 2 * head * wanted
        read = size * (layers * (attention + hit * expert) + head) + cached * layers * 4 * kv
        return max(operations / peak, read / dram)

    tokens = prefix + n * given
    keys = (prefix * prefix / 2 + n * given * (prefix + given / 2)) / tokens
    prefill = seconds(tokens, keys, n, experts, 0)
    context = prefix + given + new / 2
    decode = seconds(n, context, n, experts * (1 - (1 - top_k / experts) ** n), prefix + n * (context - prefix))
    return n * (prefix + given + new) / (prefill + (new - 1) * decode)


def best_peer(peers, row):
    _, model, _, _, _, precisions, n, prefix, _, _ = row
    points = [p for p in peers if p["model"] == model and p["n"] == n and (p["job"] == "prefix") == (prefix > 0)
              and p["precision"] in precisions]
    return max(points, key=lambda p: p["total_tok_s"], default=None)


def run_peer(command, row):
    """The point that an engine's command measures now for a row's work."""
    _, model, _, _, _, _, n, prefix, given, new = row
    work = {"--model": model, "--n": n, "--prefix": prefix, "--prompt": given, "--new": new}
    command = shlex.split(command) + [str(word) for option in work.items() for word in option]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return json.loads(lines[-1])


def median_point(points):
    """The point with the median of the rates among several of one engine."""
    return sorted(points, key=lambda p: p["total_tok_s"])[len(points) // 2]


def bench(build, options, ranks=1, threads=2):
    """Total tok/s, decode tok/s and peak memory in MB of a rank, of one run."""
    command = [f"{build}/bin/argosy", "bench", "--weights", "random:1", "--threads", str(threads), *options]
    if ranks > 1:
        command = ["timeout", "-k", "2", "600", "mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] + command
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    rates = re.search(r"prefill ([\d.]+) tok/s  decode ([\d.]+) tok/s  total ([\d.]+) tok/s", done.stdout)
    peak = re.search(r"per rank: peak ([\d.]+) (\w+)(?: to ([\d.]+) (\w+))?", done.stdout)
    unit = {"MiB": 1.0, "GiB": 1024.0}
    return float(rates[3]), float(rates[2]), float(peak[1]) * unit.get(peak[2], 1.0)


def machine_limits(build, folder):
    """This machine's limits of two threads, as argosy probe measures them."""
    path = folder / "machine.json"
    subprocess.run([f"{build}/bin/argosy", "probe", "--quick", "--threads", "2", "--disk", "off", "--output", str(path)],
                   check=True, capture_output=True)
    profile = json.loads(path.read_text())
    best = {}
    best["tiles"] = any(figures["kind"] == "bf16" and figures["isa"] == "amx" for figures in profile["arithmetic"])
    for figures in profile["arithmetic"]:
        best[figures["kind"]] = max(best.get(figures["kind"], 0), figures["gops"]["node"]["median"])
    return {**best, "dram": profile["read_gbytes"]["node"]["median"]}


def load():
    return os.getloadavg()[0]


def batch_row(args, row, peers, folder):
    name, model, numerics, further, precision, *_ = row
    options = ["--model", str(shape(model)), "--numerics", numerics, "--requests", str(row[6]), "--shared-prefix",
               str(row[7]), "--input-tokens", str(row[8]), "--output-tokens", str(row[9])]
    options += (further or "").split()
    before = load()
    limits = machine_limits(args.build, folder)
    if numerics == "bf16" and limits["tiles"]:
        options[options.index("bf16")] = "bf16-amx"
    commands = [command for kind, command in args.peer_run if kind in row[5]]
    runs, measured = [], {command: [] for command in commands}
    for turn in range(args.runs):
        runs.append(bench(args.build, options))
        for command in commands if turn < args.peer_runs else []:
            measured[command].append(run_peer(command, row))
    total = statistics.median(r[0] for r in runs)
    config = json.loads(shape(model).read_text())
    part = total / limit_tok_s(config, row, limits)
    here = [median_point(points) for points in measured.values()]
    peer = max(here, key=lambda p: p["total_tok_s"]) if here else best_peer(peers, row)
    beside = ""
    if peer:
        beside = f"{peer['peer']} {peer['precision']} {peer['total_tok_s']:,.0f}"
        ratio = total / peer["total_tok_s"]
        beside += f" | {ratio:.2f}"
        if here:
            beside += " | same run"
        elif args.peer_limits:
            classed = [*row]
            classed[4] = "4-bit" if peer["precision"] in FOUR_BIT else "int8" if peer["precision"] in INT8 else "bf16"
            theirs = peer["total_tok_s"] / limit_tok_s(config, classed, args.peer_limits)
            mine = total / limit_tok_s(config, classed, limits)
            beside += f" | {mine / theirs:.2f}"
    spread = f"{min(r[0] for r in runs):,.0f} to {max(r[0] for r in runs):,.0f}"
    print(f"| {name} | {total:,.0f} ({spread}) | {statistics.median(r[1] for r in runs):,.0f} | {100 * part:.0f} % | "
          f"{beside or '- | - | -'} | {max(r[2] for r in runs):,.0f} | {limits['dram']:.0f}, {limits['f32']:.0f}, "
          f"{limits['bf16']:.0f}, {limits['int8']:.0f} | {before:.1f} |", flush=True)


def layout_rows(args):
    base = ["--model", str(shape("A")), "--numerics", "int8"]
    for layout in LAYOUTS:
        ratios = []
        for _ in range(args.runs):
            alone = bench(args.build, base)[0]
            ratios.append(bench(args.build, base + layout.split(), ranks=2, threads=1)[0] / alone)
        print(f"| 2 ranks of 1 thread, {layout}, against 1 of 2, A int8 128 requests | {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f} to {max(ratios):.2f}) |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--peers", type=pathlib.Path)
    parser.add_argument("--peer-limits", type=lambda t: dict(zip(("dram", "bf16", "int8"), map(float, t.split(",")))))
    parser.add_argument("--peer-run", type=lambda t: tuple(t.split("=", 1)), action="append", default=[],
                        help="precision=command of an engine to measure beside argosy; may be given again")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer-runs", type=int, default=3, help="of an engine measured here, which may take long")
    parser.add_argument("--only", default="", help="rows whose name holds this word")
    args = parser.parse_args()
    peers = [json.loads(line) for line in args.peers.read_text().splitlines()] if args.peers else []
    print(f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, {args.runs} runs each, two threads\n")
    print("| work | tok/s, median (range) | decode | of the limit | best peer, tok/s | ratio | ratio of parts of limits | "
          "peak MB | GB/s, f32, bf16, int8 Gop/s here | load before |")
    print("|---|--:|--:|--:|---|--:|--:|--:|---|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for row in BATCH:
            if args.only in row[0]:
                batch_row(args, row, peers, pathlib.Path(folder))
    if args.only in "layouts":
        print("\n| work | ratio |\n|---|--:|")
        layout_rows(args)


main()
