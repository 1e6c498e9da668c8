#!/usr/bin/env python3
"""What numerics and weight formats cost in quality: argosy bench --quality, for each pair of them.

    quality.py BUILD [MODEL EVAL] [--numerics exact,bf16,bf16-amx,int8] [--weights-as stored,fp8,int8,mxfp4,nvfp4]
               [--kv-dtype bf16]

Without MODEL and EVAL the demo model and its questions and texts.
"""
import argparse
import itertools
import re
import subprocess
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("model", nargs="?")
    parser.add_argument("eval", nargs="?", default="demo")
    parser.add_argument("--numerics", default="exact,bf16,bf16-amx,int8")
    parser.add_argument("--weights-as", default="stored,fp8,int8,mxfp4,nvfp4")
    parser.add_argument("--kv-dtype", default="bf16")
    args = parser.parse_args()
    print(f"{'weights':<8} {'numerics':<8} {'solved':>9} {'perplexity':>10} {'tokens':>7}")
    for weights, numerics in itertools.product(args.weights_as.split(","), args.numerics.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            command = [f"{args.build}/bin/argosy", "bench", "--quality", args.eval, "--run-dir", f"{folder}/run", "--numerics", numerics,
                       "--kv-dtype", args.kv_dtype]
            command += ["--model", args.model] if args.model else []
            command += [] if weights == "stored" else ["--weights-as", weights]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        solved, perplexity, tokens = re.search(r"tasks ([\d.]+) % solved   perplexity ([\d.]+) of (\d+)", out).groups()
        print(f"{weights:<8} {numerics:<8} {solved:>7} % {perplexity:>10} {tokens:>7}", flush=True)


main()
