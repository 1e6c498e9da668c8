#!/usr/bin/env python3
"""The demo's files fit together: ids are unique, each task has one answer, sizes are those that configs/demo/README.md states."""
import json
import struct
import sys
from pathlib import Path

demo = Path(sys.argv[1])
requests = [json.loads(line) for line in (demo / "requests.jsonl").read_text().splitlines()]
answers = [json.loads(line) for line in (demo / "answers.jsonl").read_text().splitlines()]
readme = (demo / "README.md").read_text()


def check(ok, what):
    print(("ok      " if ok else "FAILED  ") + what)
    if not ok:
        check.failures += 1


check.failures = 0
ids = [r["custom_id"] for r in requests]
kinds = {kind: [i for i in ids if i.startswith(kind)] for kind in ("task-", "story-", "chat-")}
check(len(ids) == 200 and len(set(ids)) == 200, "200 requests with ids of their own")
check([len(k) for k in kinds.values()] == [120, 76, 4], "120 tasks, 76 stories, 4 chats")
check([a["custom_id"] for a in answers] == kinds["task-"], "one answer per task, in the order of the requests")
check(all(r["url"] == ("/v1/chat/completions" if r["custom_id"].startswith("chat") else "/v1/completions") for r in requests), "urls")

prompts = [r["body"]["prompt"] for r in requests if r["custom_id"].startswith("story-")]
prefix = max(prompts, key=len)[:1500]
check(sum(p.startswith(prefix) for p in prompts) == 20, "20 stories share the few-shot prefix")
seeds = [r["body"]["seed"] for r in requests if "seed" in r["body"]]
check(len(seeds) == 26 and len(set(seeds)) == 26, "26 sampled requests with seeds of their own")

weights = demo / "model.safetensors"
check(f"{weights.stat().st_size:,} bytes" in readme, "README has the size of model.safetensors")
with weights.open("rb") as file:
    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
parameters = 0
for name, tensor in header.items():
    if name != "__metadata__":
        count = 1
        for extent in tensor["shape"]:
            count *= extent
        parameters += count
check(f"{parameters:,} parameters" in readme, "README has the number of parameters")
sys.exit(1 if check.failures else 0)
