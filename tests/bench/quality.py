#!/usr/bin/env python3
"""What numerics and weight formats cost in quality: exact-match accuracy of greedy answers, and perplexity of text.

    quality.py BUILD MODEL EVAL [--numerics exact,bf16,int8] [--weights-as stored,fp8,int8,mxfp4,nvfp4]

EVAL holds tasks.jsonl (OpenAI batch lines), answers.jsonl (custom_id, answer) and text.jsonl (text). Perplexity is over
all tokens of each text but its first.
"""
import argparse
import itertools
import json
import math
import pathlib
import subprocess
import tempfile


def run(build, model, options, lines):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        subprocess.run([f"{build}/bin/argosy", "run", "--model", model, "--input", str(path / "in.jsonl"), "--run-dir",
                        str(path / "run"), *options], check=True, capture_output=True)
        answers = [json.loads(line) for line in (path / "run/responses.jsonl").read_text().splitlines()]
        return {a["custom_id"]: a["response"]["body"]["choices"][0] for a in answers}


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("model")
    parser.add_argument("eval", type=pathlib.Path)
    parser.add_argument("--numerics", default="exact,bf16,int8")
    parser.add_argument("--weights-as", default="stored,fp8,int8,mxfp4,nvfp4")
    args = parser.parse_args()
    tasks = read(args.eval / "tasks.jsonl")
    right = {a["custom_id"]: a["answer"] for a in read(args.eval / "answers.jsonl")}
    texts = [{"custom_id": t["id"], "method": "POST", "url": "/v1/completions",
              "body": {"prompt": t["text"], "max_tokens": 0, "echo": True, "logprobs": 0}}
             for t in read(args.eval / "text.jsonl")]
    print(f"{'weights':<8} {'numerics':<8} {'accuracy':>9} {'perplexity':>10} {'tokens':>7}")
    for weights, numerics in itertools.product(args.weights_as.split(","), args.numerics.split(",")):
        options = ["--numerics", numerics] + ([] if weights == "stored" else ["--weights-as", weights])
        chosen = run(args.build, args.model, options, tasks)
        hits = sum(choice["text"].strip() == right[name].strip() for name, choice in chosen.items())
        loss, count = 0.0, 0
        for choice in run(args.build, args.model, options, texts).values():
            known = [p for p in choice["logprobs"]["token_logprobs"] if p is not None]
            loss -= sum(known)
            count += len(known)
        print(f"{weights:<8} {numerics:<8} {100 * hits / len(tasks):>6.2f} % {math.exp(loss / count):>10.4f} {count:>7}")


main()
