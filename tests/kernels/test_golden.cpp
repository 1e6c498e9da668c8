// One fixed computation through every op, and the hashes of its results: red when bits change and numerics_id was not
// raised.
#include <fmt/format.h>

#include <span>

#include "tests/kernels/kv_case.hpp"
#include "tests/kernels/sample_case.hpp"

namespace argosy::test {
namespace {

// FNV-1a, 64 bits.
std::uint64_t hash_of(const Floats& values) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const float value : values) {
        const auto bits = __builtin_bit_cast(std::uint32_t, value);
        for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ (bits >> shift & 255U)) * 0x100000001b3U;
    }
    return hash;
}

struct Golden {
    std::string_view op;
    std::uint64_t hash;
    bool operator==(const Golden&) const = default;
};

// When a change of bits is meant: raise the mode's id in numerics_id.hpp, then copy it and the hashes that the test
// prints here.
constexpr std::string_view kExactId = "cpu-exact-1";
constexpr Golden kExact[] = {
    {"embed", 0x0c08c8cc77080df7},
    {"rms_norm", 0x43e82d8bbadc0e46},
    {"qkv bf16", 0x78ba999ba25aff7b},
    {"attention bf16", 0x3660ee7e6b1d8493},
    {"qkv f32", 0x78ba999ba25aff7b},
    {"attention f32", 0xb344b501efc3b77f},
    {"route", 0xe4437667c528ae99},
    {"gate_up", 0x04e2393699d81e1d},
    {"leaf_projection", 0xabf44945bf41e944},
    {"combine", 0x6ffc0301c8174c44},
    {"leaf_join", 0x23f8742473fa95c5},
    {"logits", 0xb6f59af0e0aace51},
    {"logits of 700 columns", 0x5690ebd466730895},
    {"sample", 0x2a0932f867fa5591},
    {"sample adjusted", 0xa4878c37351cdd51},
};

constexpr std::string_view kInt8Id = "cpu-int8-1";
constexpr Golden kInt8[] = {
    {"embed", 0x0c08c8cc77080df7},
    {"rms_norm", 0x43e82d8bbadc0e46},
    {"qkv bf16", 0x48f0c993ad872222},
    {"attention bf16", 0x07ca96d7a060e0d6},
    {"qkv f32", 0x48f0c993ad872222},
    {"attention f32", 0x2b67ea84d2fc2571},
    {"qkv int8", 0x48f0c993ad872222},
    {"attention int8", 0xbc197b224489e2f9},
    {"route", 0xe4437667c528ae99},
    {"gate_up", 0xb860b888de3b5933},
    {"leaf_projection", 0xaae4da81bda024c6},
    {"combine", 0xbb6824495c2c8342},
    {"leaf_join", 0x50a6a70f6b0374bc},
    {"logits", 0x64853ee66ce6ae56},
    {"logits of 700 columns", 0x6978a491e27729aa},
    {"sample", 0xf9767a4a638b2976},
    {"sample adjusted", 0x91e21dad49374fa3},
};

constexpr std::string_view kBf16Id = "cpu-bf16-1";
constexpr Golden kBf16[] = {
    {"embed", 0x0c08c8cc77080df7},
    {"rms_norm", 0x43e82d8bbadc0e46},
    {"qkv bf16", 0x38cc208d3a2880d8},
    {"attention bf16", 0x4b16b0d011e962d7},
    {"qkv f32", 0x38cc208d3a2880d8},
    {"attention f32", 0x6246750a5fe0d46d},
    {"route", 0xe4437667c528ae99},
    {"gate_up", 0x6562ea9cbc7c5fb4},
    {"leaf_projection", 0x7106a07108b713a2},
    {"combine", 0xc9ff32fb0c924136},
    {"leaf_join", 0x8f6e99157411653d},
    {"logits", 0x8e896ccd82ef7d86},
    {"logits of 700 columns", 0x5aac5b8e3ac8c4d6},
    {"sample", 0x446d1911ff030dc2},
    {"sample adjusted", 0xa8217e8f9c329883},
};

constexpr std::string_view kBf16AmxId = "cpu-bf16-amx-1";
constexpr Golden kBf16Amx[] = {
    {"embed", 0x0c08c8cc77080df7},
    {"rms_norm", 0x43e82d8bbadc0e46},
    {"qkv bf16", 0x4d9d5c9edf87fe6c},
    {"attention bf16", 0x6f1c64813f01b1f2},
    {"qkv f32", 0x4d9d5c9edf87fe6c},
    {"attention f32", 0x24e2d4b02fb4faba},
    {"route", 0xe4437667c528ae99},
    {"gate_up", 0xf3913eba9d28df1e},
    {"leaf_projection", 0x3018352628058660},
    {"combine", 0x0ef9cbceba19dbb8},
    {"leaf_join", 0xf8b0780351b70c2a},
    {"logits", 0xef9ff177d7d319a1},
    {"logits of 700 columns", 0x45bbcd2d4fac07e4},
    {"sample", 0x8805f37d55a887a4},
    {"sample adjusted", 0xaf60fa98d6db9472},
};

// The computation. Every op takes what the one before gave where their shapes meet.
std::vector<Golden> compute(const Ops& ops) {
    std::vector<Golden> out;
    const auto keep = [&](std::string_view op, const Floats& values) { out.push_back({op, hash_of(values)}); };
    const int rows = 37, hidden = 48, experts = 6, top_k = 2, inner = 56, vocab = 1500;
    const Stream stream{.threads = 2};
    const DType kept = kept_as(ops, DType::bf16);

    const Stored table = stored(Random(1).reals(std::size_t{99} * hidden), DType::bf16);
    std::vector<std::int32_t> token;
    for (int row = 0; row < rows; ++row) token.push_back(row * 29 % 99);
    Floats x(std::size_t{rows} * hidden);
    ops.embed({rows, hidden, token.data(), table.bytes.data(), table.dtype, x.data()}, stream);
    keep("embed", x);

    const Floats norm = Random(2).reals(hidden, 0.5F, 2);
    Floats normed(x.size());
    ops.rms_norm({rows, hidden, x.data(), norm.data(), 1e-6F, normed.data()}, stream);
    keep("rms_norm", normed);

    for (const DType kv : {DType::bf16, DType::f32, DType::int8}) {
        if (kv == DType::int8 && ops.products != Products::int8) continue;
        const KvCase shape{4, 2, 24, 16, kv, {100, 70}, DType::bf16, true, true, false, hidden, 3};
        KvInputs in = kv_inputs(shape);
        std::copy(normed.begin(), normed.end(), in.x.begin());
        const KvPool pool(ops, shape, in, 4);
        const Floats q = pool.run_qkv(all_rows(shape.tokens()), 2);
        const Floats attended = pool.run_attention(q, pool.whole_spans(), 2);
        keep(kv == DType::bf16 ? "qkv bf16" : kv == DType::f32 ? "qkv f32" : "qkv int8", q);
        keep(kv == DType::bf16 ? "attention bf16" : kv == DType::f32 ? "attention f32" : "attention int8", attended);
    }

    const Packed router =
        pack(ops, {experts, hidden, DType::f32, {}}, random_weights(5, experts, hidden, DType::f32), hidden);
    Floats scores(std::size_t{rows} * 2 * experts), gate_weight(std::size_t{rows} * top_k);
    std::vector<std::int32_t> ids(gate_weight.size());
    ops.route({.rows = rows,
               .experts = experts,
               .top_k = top_k,
               .rule = {.renormalise = true},
               .x = normed.data(),
               .weight = router.matrix,
               .scratch = scores.data(),
               .ids = ids.data(),
               .weights = gate_weight.data()},
              stream);
    Floats routed = gate_weight;
    for (const std::int32_t id : ids) routed.push_back(static_cast<float>(id));
    keep("route", routed);

    std::vector<Packed> packed;
    std::vector<WeightMatrix> gate, up, down;
    for (std::uint64_t e = 0; e < 3; ++e) {
        packed.push_back(
            pack(ops, {inner, hidden, kept, {}}, random_weights(10 + e, inner, hidden, DType::bf16), hidden));
        gate.push_back(packed.back().matrix);
        packed.push_back(
            pack(ops, {inner, hidden, kept, {}}, random_weights(20 + e, inner, hidden, DType::bf16), hidden));
        up.push_back(packed.back().matrix);
        packed.push_back(pack(ops, {hidden, inner, kept, leaf_share(inner, 1, 0, 1).cut},
                              random_weights(30 + e, hidden, inner, DType::bf16), inner));
        down.push_back(packed.back().matrix);
    }
    const std::vector<std::int32_t> begin{0, 20, 21, rows};
    Floats h(std::size_t{rows} * inner), y(x.size());
    Scratch gate_scratch(ops, gate[0].spec, rows), down_scratch(ops, down[0].spec, rows);
    ops.gate_up({3, begin.data(), nullptr, gate.data(), up.data(), normed.data(), h.data(), rows, gate_scratch.data()},
                stream);
    keep("gate_up", h);
    ops.leaf_projection({3, begin.data(), down.data(), h.data(), y.data(), down_scratch.data()}, stream);
    keep("leaf_projection", y);

    std::vector<std::int32_t> leaf_begin{0}, source;
    std::vector<std::uint8_t> merges;
    Floats weights;
    for (int row = 0; row < rows; ++row) {
        for (int leaf = 0; leaf < 3; ++leaf) {
            source.push_back((row + leaf * 11) % rows);
            weights.push_back(gate_weight[static_cast<std::size_t>(row * 2 + leaf) % gate_weight.size()]);
            merges.push_back(leaf == 0 ? 0 : 1);
        }
        leaf_begin.push_back(static_cast<std::int32_t>(source.size()));
    }
    Floats combined(x.size()), joined(x.size());
    ops.combine({rows, hidden, leaf_begin.data(), source.data(), weights.data(), merges.data(), y.data(), x.data(),
                 combined.data()},
                stream);
    keep("combine", combined);
    const float* parts[] = {combined.data(), y.data(), nullptr, normed.data()};
    ops.leaf_join({rows, hidden, 4, parts, x.data(), joined.data()}, stream);
    keep("leaf_join", joined);

    const Packed head = pack(ops, {vocab, hidden, kept, {}}, random_weights(40, vocab, hidden, DType::bf16), hidden);
    Floats all_logits(std::size_t{rows} * vocab);
    Scratch head_scratch(ops, head.matrix.spec, rows);
    ops.logits({rows, joined.data(), head.matrix, all_logits.data(), vocab, head_scratch.data()}, stream);
    keep("logits", all_logits);

    const int wide = 700;  // several blocks of int8 codes, the last not whole
    const Packed wide_head = pack(ops, {64, wide, kept, {}}, random_weights(41, 64, wide, DType::bf16), wide);
    Scratch wide_scratch(ops, wide_head.matrix.spec, 2);
    Floats wide_logits(std::size_t{2} * 64);
    ops.logits({2, Random(42).reals(std::size_t{2} * wide).data(), wide_head.matrix, wide_logits.data(), 64,
                wide_scratch.data()},
               stream);
    keep("logits of 700 columns", wide_logits);

    std::vector<SampleRow> samples;
    const std::vector<SampleSetting> settings = sample_settings();
    for (int row = 0; row < rows; ++row) {
        SampleRow setting = settings[static_cast<std::size_t>(row) % settings.size()].row;
        setting.seed = 9;
        setting.request = static_cast<std::uint64_t>(row);
        setting.position = 7;
        setting.top_logprobs = 3;
        if (row > 30) setting.temperature = 0;
        samples.push_back(setting);
    }
    Floats chosen;
    for (const SampleResult& result : run_sample(ops, all_logits, vocab, samples, 2)) {
        chosen.insert(chosen.end(),
                      {static_cast<float>(result.token), result.logprob, result.top_gap, result.top_logprob[2]});
    }
    keep("sample", chosen);

    const std::vector<AdjustedToken> tokens = adjusted_tokens(6, vocab, 120);
    const std::vector<SampleSetting> penalties = penalty_settings();
    chosen.clear();
    for (int row = 0; row < rows; ++row) {
        SampleRow& sample = samples[static_cast<std::size_t>(row)];
        const SampleRow& penalty = penalties[static_cast<std::size_t>(row) % penalties.size()].row;
        sample.adjusted = tokens.data();
        sample.adjusted_count = static_cast<int>(tokens.size());
        sample.repetition_penalty = penalty.repetition_penalty;
        sample.frequency_penalty = penalty.frequency_penalty;
        sample.presence_penalty = penalty.presence_penalty;
    }
    for (const SampleResult& result : run_sample(ops, all_logits, vocab, samples, 2))
        chosen.insert(chosen.end(), {static_cast<float>(result.token), result.logprob});
    keep("sample adjusted", chosen);
    return out;
}

void check_golden(std::string_view numerics, std::string_view id, std::span<const Golden> golden) {
    for (const Ops* ops : runnable_ops(numerics)) {
        REQUIRE(ops->numerics_id == id);
        const std::vector<Golden> got = compute(*ops);
        std::string print;
        for (const Golden& line : got) print += fmt::format("    {{\"{}\", 0x{:016x}}},\n", line.op, line.hash);
        INFO(ops->name << " gives\n"
                       << print
                       << "If bits were meant to change, raise numerics_id and put these hashes into this test.");
        REQUIRE(std::vector<Golden>(golden.begin(), golden.end()) == got);
    }
}

TEST_CASE("golden: the bits of every op are those of this numerics_id") {
    check_golden("exact", kExactId, kExact);
    check_golden("bf16", kBf16Id, kBf16);
    check_golden("bf16-amx", kBf16AmxId, kBf16Amx);
    check_golden("int8", kInt8Id, kInt8);
}

}  // namespace
}  // namespace argosy::test
