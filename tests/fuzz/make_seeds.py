#!/usr/bin/env python3
"""Writes the inputs that the fuzzers begin with: OUT/NAME/*, and OUT/NAME.dict with the words of each format.

    make_seeds.py OUT [MANIFEST]      MANIFEST: a manifest.jsonl of a run, whose lines carry checksums
"""
import itertools
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

DECODER = {
    "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 4, "rms_norm_eps": 1e-6, "rope_theta": 1e4, "max_position_embeddings": 128,
    "tie_word_embeddings": False, "hidden_act": "silu", "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": [2, 3],
}
MOE = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "norm_topk_prob": True,
       "decoder_sparse_step": 1, "mlp_only_layers": [1], "sliding_window": None, "use_sliding_window": False}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
        "original_max_position_embeddings": 64, "mscale": 1.0, "mscale_all_dim": 1.0}
LATENTS = {"kv_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 4, "n_routed_experts": 8,
           "num_experts_per_tok": 2, "n_shared_experts": 1, "moe_intermediate_size": 8, "first_k_dense_replace": 1,
           "n_group": 4, "topk_group": 2, "routed_scaling_factor": 2.5, "moe_layer_freq": 1}
CONFIGS = [
    {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", **DECODER, **MOE},
    {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", **DECODER, "attention_bias": False},
    {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **DECODER, "rope_scaling": LLAMA3, "mlp_bias": False},
    {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", **DECODER, "num_local_experts": 4,
     "num_experts_per_tok": 2, "sliding_window": None},
    {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **DECODER, "rope_parameters": {"rope_theta": 5e5, **LLAMA3}},
    {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **DECODER,
     "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}},
    {"architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", **DECODER, "num_local_experts": 4,
     "num_experts_per_tok": 2, "sliding_window": 32, "layer_types": ["sliding_attention", "full_attention"],
     "swiglu_limit": 7.0, "attention_bias": True, "rope_scaling": YARN, "quantization_config": {"quant_method": "mxfp4"}},
    {"architectures": ["OlmoeForCausalLM"], "model_type": "olmoe", **DECODER, "num_experts": 4, "num_experts_per_tok": 2,
     "clip_qkv": 8.0, "norm_topk_prob": False},
    {"architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", **DECODER, **LATENTS, "q_lora_rank": None,
     "topk_method": "group_limited_greedy", "scoring_func": "softmax", "rope_scaling": {**YARN, "type": "yarn"}},
    {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", **DECODER, **LATENTS, "q_lora_rank": 8,
     "topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": True, "num_nextn_predict_layers": 1},
    {"architectures": ["FalconForCausalLM"], "model_type": "falcon"},
]
GENERATION = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.0, "eos_token_id": [2, 5],
              "bos_token_id": 1, "pad_token_id": 0, "repetition_penalty": 1.05, "max_new_tokens": 32}


def safetensors_headers():
    one = {"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    two = {"__metadata__": {"format": "pt"}, **one, "b": {"dtype": "BF16", "shape": [4], "data_offsets": [16, 24]}}
    scalar = {"s": {"dtype": "F16", "shape": [], "data_offsets": [0, 2]}, "t": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}
    wrong = [{"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 8]}},
             {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}, {"a": 1}, [], {"a": {"dtype": "Q9"}}]
    for header, bytes_behind in [(one, 16), (two, 24), (scalar, 4), *[(w, 16) for w in wrong]]:
        text = json.dumps(header).encode()
        behind = bytes([bytes_behind // 4])
        yield b"\0" + behind + text
        yield b"\1" + behind + len(text).to_bytes(8, "little") + text
        yield b"\2" + behind + json.dumps({"metadata": {"total_size": 16}, "weight_map": {"a": "m-1.safetensors"}}).encode() + b"\n" + text
    yield b'\2\0{"weight_map": {"a": "../m.safetensors", "b": "/m"}}\n{}'


def model_configs():
    generation = json.dumps(GENERATION).encode()
    for config in CONFIGS:
        yield json.dumps(config).encode() + b"\0" + generation
    yield json.dumps(CONFIGS[1]).encode()


def byte_alphabet():
    """The 256 names of bytes in byte-level vocabularies."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = itertools.count(256)
    return [chr(b) if b in printable else chr(next(others)) for b in range(256)]


def tokenizers():
    demo = json.loads((ROOT / "configs/demo/tokenizer.json").read_text())
    vocab = {name: i for i, name in enumerate(byte_alphabet())}
    vocab.update({"he": 256, "\u0120a": 257})
    model = {"type": "BPE", "vocab": vocab, "merges": ["h e", ["\u0120", "a"]], "dropout": None, "unk_token": None,
             "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
             "ignore_merges": False}
    special = {"id": 258, "content": "<s>", "single_word": False, "lstrip": False, "rstrip": True, "normalized": False, "special": True}
    bos = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
           "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [258], "tokens": ["<s>"]}}}
    split = {"type": "Split", "pattern": {"Regex": r"\p{L}+|\p{N}{1,3}|\s+"}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    byte_level = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [special], "normalizer": {"type": "NFC"},
                  "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]}, "post_processor": bos,
                  "decoder": level, "model": model}
    yield byte_level
    yield {**byte_level, "pre_tokenizer": {**level, "use_regex": True}, "post_processor": None, "normalizer": None}
    yield {**byte_level, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, {"type": "Punctuation", "behavior": "Isolated"}, {"type": "Whitespace"}, level]},
        "post_processor": {"type": "Sequence", "processors": [level, bos]}}
    for behavior in ["Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]:
        yield {**byte_level, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{**split, "behavior": behavior, "invert": True}, level]}}
    pieces = {"<unk>": 0, "<s>": 1, "\u2581": 2, "a": 3, "\u2581a": 4, **{f"<0x{b:02X}>": 5 + b for b in range(256)}}
    metaspace = {**byte_level, "added_tokens": [{**special, "id": 1}],
                 "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                                                                    {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
                 "pre_tokenizer": None, "post_processor": {**bos, "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
                 "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                                                              {"type": "ByteFallback"}, {"type": "Fuse"},
                                                              {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
                 "model": {**model, "vocab": pieces, "merges": ["\u2581 a"], "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}}
    yield metaspace
    yield {**metaspace, "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False},
           "normalizer": None, "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"}}
    for other in ["WordPiece", "Unigram"]:
        yield {**byte_level, "model": {"type": other, "vocab": {}}}
    yield {**byte_level, "normalizer": {"type": "Lowercase"}}
    yield {**demo, "model": {**demo["model"], "merges": demo["model"]["merges"][:4]}}


CONVERSATION = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hi <b>"}]},
                 {"role": "assistant", "content": "", "reasoning_content": "so", "tool_calls": [
                     {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"x": 1, "y": [2.5, None, True]}}}]},
                 {"role": "tool", "content": "7", "tool_call_id": "c1"}, {"role": "user", "content": "<think>a</think> b"}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "does", "parameters": {
        "type": "object", "properties": {"x": {"type": ["integer", "null"], "enum": [1, 2], "default": 1}}, "required": ["x"]}}}],
    "add_generation_prompt": True, "enable_thinking": False}
CHAT = """{%- macro call(c, sep=', ') -%}{{ c.name }}({% for k, v in c.arguments | items %}{{ k }}={{ v | tojson }}{{ sep if not loop.last }}{% endfor %})
{%- endmacro -%}
{%- set ns = namespace(seen=false, last=-1) -%}
{%- if messages[0].role == 'system' %}{{- '<s>' + messages[0]['content'] | trim + '</s>' }}{%- set rest = messages[1:] -%}{% else %}{% set rest = messages %}{% endif -%}
{%- for m in rest if m.role != 'skip' %}
  {%- if m.content is string and '</think>' in m.content %}{{ m.content.split('</think>')[-1].lstrip('\\n') }}
  {%- elif m.content is iterable and m.content is not mapping %}{%- for p in m.content %}{{ p['text'] if p.type == 'text' else raise_exception('part') }}{% endfor %}
  {%- endif %}
  {%- if m.tool_calls is defined and m.tool_calls %}{%- for c in m.tool_calls %}{{ call(c.function) ~ loop.index0 }}{% endfor %}{%- set ns.seen = true %}{% endif %}
  {%- if loop.first %}{% continue %}{% elif m.role == 'stop' %}{% break %}{% endif -%}
{%- endfor -%}
{% filter upper %}{{ tools | tojson(indent=2) | length }}{% endfilter %}{{ strftime_now('%d %b %Y') }}{% if add_generation_prompt %}<a>{% endif %}"""


def chat_templates():
    """The cases of the template language's test, each with its variables, and a template as models have them."""
    variables = {}
    for line in (ROOT / "tests/runtime/text/jinja_cases.jsonl").read_text().splitlines():
        case = json.loads(line)
        variables = case.get("variables", variables)
        if "template" in case:
            used = {name: value for name, value in variables.items() if name in case["template"]}
            yield case["template"] + "\0" + json.dumps(used)
    yield CHAT + "\0" + json.dumps(CONVERSATION)
    yield json.dumps({"chat_template": CHAT, "bos_token": "<s>", "eos_token": {"content": "</s>"}})
    yield json.dumps({"chat_template": [{"name": "default", "template": CHAT}, {"name": "tool_use", "template": "{{ tools }}"}]})


def request_lines():
    for line in (ROOT / "configs/demo/requests.jsonl").read_text().splitlines()[::25]:
        yield line
    body = {"model": "m", "prompt": [1, 2, 3], "max_tokens": 5, "n": 2, "temperature": 0.5, "top_p": 0.9, "min_p": 0.1, "top_k": 5,
            "seed": -3, "stop": ["a", "b"], "stop_token_ids": [4], "logprobs": 3, "echo": True, "ignore_eos": True,
            "return_token_ids": True, "stream": False, "user": "u", "presence_penalty": 0.5, "frequency_penalty": -0.5,
            "repetition_penalty": 1.1, "logit_bias": {"5": -100, "6": 1.5}}
    yield json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": body})
    yield json.dumps({"id": 7, "note": {"deep": [1, [2, {"x": None}]]}, **body})
    for name in body:
        for value in [None, "x", -1, 1e99, [], {}, True, 2**63, [[1]], ["a"], ""]:
            yield json.dumps({"prompt": "a", name: value})
    chat = {"model": "m", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                                       {"role": "assistant", "content": "Yes?"}], "max_completion_tokens": 4, "logprobs": True,
            "top_logprobs": 2, "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "tool_choice": "auto", "chat_template_kwargs": {"enable_thinking": False}, "add_generation_prompt": False,
            "continue_final_message": True}
    for text in [chat, {**chat, "messages": []}, {**chat, "messages": [{"role": "user"}]}, {**chat, "messages": "x"}]:
        yield json.dumps({"custom_id": "c", "method": "POST", "url": "/v1/chat/completions", "body": text})
    for line in ['{"prompt": "a"', '{"prompt": "a", "prompt": "b"}', "[]", "t plain text", '{"custom_id": "a", "url": "/v2", "body": {}}',
                 '{"custom_id": 1, "method": "GET", "url": "/v1/completions", "body": 3}', '{"id": "a", "custom_id": "b", "prompt": "x"}',
                 '{"temprature": 1, "prompt": "x"}', '{"custom_id": "a", "url": "/v1/completions", "body": {"promt": 1}}', '{"prompt": "\\ud800"}']:
        yield line
    yield b'{"prompt": "\xff"}'
    yield "{\"prompt\": " + "[" * 80 + "]" * 80 + "}"


def settings_files():
    yield "model = demo\ninput = a.jsonl\ninput = b.jsonl\nrun-dir = out\nlimit = 5\nseed = 3\nmax-rows = 64\nkv-memory = 64MiB\n"
    yield "tp = 2\ndp = 2\nep = 4\netp = 1\nreplicas = 1\npp = 1\nbackend = cpu\nisa = avx2\nnumerics = exact\nkv-dtype = f32\n"
    yield "prefix-cache = off\nthreads = 2\nexchange-rows = 3\nwatchdog = 0\ncost-profile = academic\ninput-format = text\nrecord = logits,router\n"
    yield "slice = 1/4\ndry-run = true\ncluster = here.json\n# a note\n"
    for line in ["tpp = 2", "tp = x", "tp", "[section]", "tp = 2\ntp = 4", "kv-memory = 12QB", "kv-memory = 1.5GB", "prefix-cache = maybe",
                 "isa = sse", "record = all", "slice = 4/4", "slice = a", "max-rows = 0", "config = other.cfg", "= 3", "pp = 2", "kv-dtype = f64"]:
        yield line + "\n"


def manifests():
    if len(sys.argv) > 2:
        lines = pathlib.Path(sys.argv[2]).read_text()
        yield lines
        yield lines[:-5]
        yield re.sub('"sum":"0', '"sum":"1', lines)
        for line in lines.splitlines():
            yield line + "\n"
    # Without checksums: the fuzzer adds them.
    shard = '{"entry":"shard","name":"%s","bytes":12,"xxh3":"00000000000000ff","answers":3,"errors":1}'
    yield "\n".join(['{"entry":"start","number":1,"requests":9,"utc":"2026-01-01T00:00:00Z"}', shard % "1-0-0.h5",
                     shard % "1-0-1.h5", shard % "1-0-0.h5", '{"entry":"withdrawn","name":"1-0-1.h5","reason":"torn"}',
                     '{"entry":"finished"}'])
    for name in ["", ".hidden", "a/b", "99999999999.h5", "7"]:
        yield shard % name
    for line in ['{"entry":"shard"}', "[]", "{", '{"entry":"finished","sum":"0000000000000000"}', "x" * 300]:
        yield line + "\n"


FORMATS = {"safetensors": safetensors_headers, "model_config": model_configs, "tokenizer": tokenizers, "chat_template": chat_templates,
           "request_line": request_lines, "settings_file": settings_files, "manifest": manifests}


def as_bytes(seed):
    if isinstance(seed, dict):
        seed = json.dumps(seed)
    return seed if isinstance(seed, bytes) else seed.encode()


def main():
    out = pathlib.Path(sys.argv[1])
    for name, seeds in FORMATS.items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        words = set()
        for number, seed in enumerate(map(as_bytes, seeds())):
            (folder / f"{number:03}").write_bytes(seed)
            plain = name in ("settings_file", "chat_template")
            words.update(re.findall(rb'"[\w./<>-]{1,40}"', seed[:20000]) if not plain
                         else [b'"%s"' % word for word in re.findall(rb"[\w-]{2,20}", seed)])
        lines = [word.decode() if plain else '"\\"' + word.decode()[1:-1] + '\\""' for word in sorted(words)]
        (out / f"{name}.dict").write_text("\n".join(lines[:600]) + "\n")


main()
