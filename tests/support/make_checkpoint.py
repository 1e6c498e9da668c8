#!/usr/bin/env python3
"""Makes a model folder with random weights from a published config.json: every size scaled down, tensor names, layouts
and number formats as the authors released them (fp8 with a scale per 128 x 128 block, MXFP4 as blocks and scales).

    make_checkpoint.py CONFIG FOLDER [--seed N] [--tokenizer FILE]

Writes FOLDER/config.json, two safetensors files and their index, and prints "parameters N": those of the model without
a predictor, which is a line of what inspect says. Names here are written down from the released checkpoints, not taken
from the program's tables. Python's standard library alone.
"""
import argparse
import json
import pathlib
import random
import struct

BLOCK = 128      # rows and columns of an fp8 block
GROUP = 32       # values of an mxfp4 group
VOCABULARY = 512


def scaled(config):
    """The config with every size made small. Ratios that a family's code depends on stay: query heads per KV head,
    experts per group, sizes of heads and of latents' cached parts."""
    c = json.loads(json.dumps(config))
    deepseek = c["model_type"] in ("deepseek_v2", "deepseek_v3", "kimi_k2")
    c["num_hidden_layers"] = 4 if "layer_types" in c else 3
    if "layer_types" in c:
        c["layer_types"] = c["layer_types"][: c["num_hidden_layers"]]
    if "max_window_layers" in c:
        c["max_window_layers"] = c["num_hidden_layers"]
    if "first_k_dense_replace" in c:
        c["first_k_dense_replace"] = 1
    if deepseek:
        c["num_attention_heads"] = c["num_key_value_heads"] = 4
    else:
        per_kv_head = c["num_attention_heads"] // c["num_key_value_heads"]
        c["num_key_value_heads"] = 2
        c["num_attention_heads"] = 2 * per_kv_head
    head_dim = c.get("head_dim")
    # Without a head size of its own it is hidden / heads.
    c["hidden_size"] = 160 if deepseek or head_dim else 16 * c["num_attention_heads"]
    if c.get("q_lora_rank"):
        c["q_lora_rank"] = 72
    c["intermediate_size"] = 96 if c["model_type"] == "gpt_oss" else 200
    if "moe_intermediate_size" in c:
        c["moe_intermediate_size"] = 136
    for key in ("num_experts", "num_local_experts", "n_routed_experts"):
        if key in c:
            c[key] = 16
    if "n_routed_experts" in c or "num_experts" in c or "num_local_experts" in c:
        c["num_experts_per_tok"] = min(c["num_experts_per_tok"], 4)
    if "experts_per_token" in c:
        c["experts_per_token"] = c["num_experts_per_tok"]
    c["vocab_size"] = VOCABULARY
    for key, token in (("bos_token_id", 1), ("eos_token_id", 2), ("pad_token_id", 0)):
        if c.get(key) is not None:
            c[key] = token
    return c


class Tensors:
    """What is to be written: name -> (format word, shape, bytes)."""

    def __init__(self, seed, quantised):
        self.random = random.Random(seed)
        self.quantised = quantised
        self.all = {}
        self.parameters = 0
        self.counting = True

    def put(self, name, word, shape, data):
        assert name not in self.all, name
        self.all[name] = (word, shape, data)

    def count(self, shape):
        elements = 1
        for extent in shape:
            elements *= extent
        if self.counting:
            self.parameters += elements
        return elements

    def bf16(self, name, *shape):
        """Values of either sign from 2^-5 to 2^-3."""
        self.put(name, "BF16", shape, self.bf16_bytes(self.count(shape)))

    def bf16_bytes(self, elements):
        data = bytearray(self.random.randbytes(2 * elements))
        data[1::2] = data[1::2].translate(bytes([0x3D] * 128 + [0xBD] * 128))
        return bytes(data)

    def ones(self, name, *shape):
        """Values from 1 to 2: norms."""
        data = bytearray(self.random.randbytes(2 * self.count(shape)))
        data[0::2] = data[0::2].translate(bytes(i | 0x80 for i in range(256)))
        data[1::2] = bytes([0x3F] * (len(data) // 2))
        self.put(name, "BF16", shape, bytes(data))

    def f32(self, name, *shape):
        values = [self.random.uniform(-0.1, 0.1) for _ in range(self.count(shape))]
        self.put(name, "F32", shape, struct.pack(f"<{len(values)}f", *values))

    def matrix(self, name, rows, columns):
        """A projection: bf16, or where the checkpoint is quantised fp8 with a scale per block."""
        if not self.quantised:
            return self.bf16(name, rows, columns)
        codes = self.random.randbytes(self.count((rows, columns)))
        codes = codes.translate(bytes(i & 0xBF for i in range(256)))  # below 2, none is NaN
        self.put(name, "F8_E4M3", (rows, columns), codes)
        grid = (-(-rows // BLOCK), -(-columns // BLOCK))
        scales = [self.random.uniform(0.05, 0.2) for _ in range(grid[0] * grid[1])]
        self.put(name + "_scale_inv", "F32", grid, struct.pack(f"<{len(scales)}f", *scales))

    def mxfp4_experts(self, name, experts, rows, columns):
        self.count((experts, rows, columns))
        groups = columns // GROUP
        self.put(name + "_blocks", "U8", (experts, rows, groups, GROUP // 2),
                 self.random.randbytes(experts * rows * columns // 2))
        scales = self.random.randbytes(experts * rows * groups)
        self.put(name + "_scales", "U8", (experts, rows, groups),
                 scales.translate(bytes(119 + i % 4 for i in range(256))))  # 2^-8 to 2^-5

    def copy(self, name, of):
        self.put(name, *self.all[of])


def add_attention(t, c, layer):
    at = f"model.layers.{layer}.self_attn."
    hidden, heads, kv_heads = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
    if "kv_lora_rank" in c:
        nope, rope, value = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
        q_from, q_name = hidden, "q_proj"
        if c["q_lora_rank"]:
            t.matrix(at + "q_a_proj.weight", c["q_lora_rank"], hidden)
            t.ones(at + "q_a_layernorm.weight", c["q_lora_rank"])
            q_from, q_name = c["q_lora_rank"], "q_b_proj"
        t.matrix(at + q_name + ".weight", heads * (nope + rope), q_from)
        t.matrix(at + "kv_a_proj_with_mqa.weight", c["kv_lora_rank"] + rope, hidden)
        t.ones(at + "kv_a_layernorm.weight", c["kv_lora_rank"])
        t.matrix(at + "kv_b_proj.weight", heads * (nope + value), c["kv_lora_rank"])
        t.matrix(at + "o_proj.weight", hidden, heads * value)
        return
    head_dim = c.get("head_dim") or hidden // heads
    gpt_oss = c["model_type"] == "gpt_oss"
    matrix = t.bf16 if gpt_oss else t.matrix
    for name, rows in (("q", heads), ("k", kv_heads), ("v", kv_heads)):
        matrix(at + name + "_proj.weight", rows * head_dim, hidden)
        if gpt_oss:
            t.bf16(at + name + "_proj.bias", rows * head_dim)
    matrix(at + "o_proj.weight", hidden, heads * head_dim)
    if gpt_oss:
        t.bf16(at + "o_proj.bias", hidden)
        t.bf16(at + "sinks", heads)
    if c["model_type"] in ("qwen3", "qwen3_moe"):
        t.ones(at + "q_norm.weight", head_dim)
        t.ones(at + "k_norm.weight", head_dim)
    if c["model_type"] == "olmoe":
        t.ones(at + "q_norm.weight", heads * head_dim)
        t.ones(at + "k_norm.weight", kv_heads * head_dim)


def add_gated(t, at, names, hidden, width):
    gate, up, down = names
    t.matrix(f"{at}{gate}.weight", width, hidden)
    t.matrix(f"{at}{up}.weight", width, hidden)
    t.matrix(f"{at}{down}.weight", hidden, width)


PROJECTIONS = ("gate_proj", "up_proj", "down_proj")


def add_feed_forward(t, c, layer):
    kind, hidden = c["model_type"], c["hidden_size"]
    at = f"model.layers.{layer}.mlp."
    if kind in ("llama", "qwen3"):
        return add_gated(t, at, PROJECTIONS, hidden, c["intermediate_size"])
    if kind == "mixtral":
        at = f"model.layers.{layer}.block_sparse_moe."
        t.bf16(at + "gate.weight", c["num_local_experts"], hidden)
        for expert in range(c["num_local_experts"]):
            add_gated(t, f"{at}experts.{expert}.", ("w1", "w3", "w2"), hidden, c["intermediate_size"])
        return None
    if kind == "gpt_oss":
        experts, width = c["num_local_experts"], c["intermediate_size"]
        t.bf16(at + "router.weight", experts, hidden)
        t.bf16(at + "router.bias", experts)
        t.mxfp4_experts(at + "experts.gate_up_proj", experts, 2 * width, hidden)
        t.bf16(at + "experts.gate_up_proj_bias", experts, 2 * width)
        t.mxfp4_experts(at + "experts.down_proj", experts, hidden, width)
        t.bf16(at + "experts.down_proj_bias", experts, hidden)
        return None
    width = c["moe_intermediate_size"] if "moe_intermediate_size" in c else c["intermediate_size"]
    if layer < c.get("first_k_dense_replace", 0):
        return add_gated(t, at, PROJECTIONS, hidden, c["intermediate_size"])
    experts = c["n_routed_experts"] if "n_routed_experts" in c else c["num_experts"]
    t.bf16(at + "gate.weight", experts, hidden)
    if c.get("topk_method") == "noaux_tc":
        t.f32(at + "gate.e_score_correction_bias", experts)
    for expert in range(experts):
        add_gated(t, f"{at}experts.{expert}.", PROJECTIONS, hidden, width)
    if c.get("n_shared_experts"):
        add_gated(t, at + "shared_experts.", PROJECTIONS, hidden, width * c["n_shared_experts"])
    return None


def add_layer(t, c, layer):
    add_attention(t, c, layer)
    add_feed_forward(t, c, layer)
    for norm in ("input_layernorm", "post_attention_layernorm"):
        t.ones(f"model.layers.{layer}.{norm}.weight", c["hidden_size"])


def add_predictor(t, c):
    layer, hidden = c["num_hidden_layers"], c["hidden_size"]
    at = f"model.layers.{layer}."
    t.counting = False
    add_layer(t, c, layer)
    t.copy(at + "embed_tokens.weight", "model.embed_tokens.weight")
    t.ones(at + "enorm.weight", hidden)
    t.ones(at + "hnorm.weight", hidden)
    t.bf16(at + "eh_proj.weight", hidden, 2 * hidden)
    t.ones(at + "shared_head.norm.weight", hidden)
    t.copy(at + "shared_head.head.weight", "lm_head.weight")


def tensors_of(c, seed):
    t = Tensors(seed, c.get("quantization_config", {}).get("quant_method") == "fp8")
    hidden = c["hidden_size"]
    t.bf16("model.embed_tokens.weight", VOCABULARY, hidden)
    for layer in range(c["num_hidden_layers"]):
        add_layer(t, c, layer)
    t.ones("model.norm.weight", hidden)
    if not c["tie_word_embeddings"]:
        t.bf16("lm_head.weight", VOCABULARY, hidden)
    if c.get("num_nextn_predict_layers"):
        add_predictor(t, c)
    return t


def write_safetensors(path, tensors):
    sizes = {"F32": 4, "BF16": 2, "F8_E4M3": 1, "U8": 1}
    order = sorted(tensors, key=lambda name: (-sizes[tensors[name][0]], name))  # aligned
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name in order:
        word, shape, data = tensors[name]
        header[name] = {"dtype": word, "shape": list(shape), "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(tensors[name][2])


def main():
    parser = argparse.ArgumentParser(description="A model folder with random weights from a published config.json.")
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokenizer", type=pathlib.Path, help="tokenizer.json to put beside the weights")
    arguments = parser.parse_args()
    config = scaled(json.loads(arguments.config.read_text()))
    made = tensors_of(config, arguments.seed)
    arguments.folder.mkdir(parents=True)
    names = sorted(made.all)
    index = {}
    for number in (1, 2):
        part = {name: made.all[name] for name in names[number - 1 :: 2]}
        file = f"model-{number:05}-of-00002.safetensors"
        write_safetensors(arguments.folder / file, part)
        index.update({name: file for name in part})
    (arguments.folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (arguments.folder / "config.json").write_text(json.dumps(config, indent=2))
    if arguments.tokenizer:
        (arguments.folder / "tokenizer.json").write_bytes(arguments.tokenizer.read_bytes())
    print(f"parameters {made.parameters}")


if __name__ == "__main__":
    main()
