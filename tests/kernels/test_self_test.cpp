// The self-test finds healthy backends healthy, and ops that break a rule guilty of just that.
#include <catch2/catch.hpp>

#include "kernels/backend.hpp"
#include "kernels/reference/reference_ops.hpp"
#include "kernels/self_test.hpp"

using namespace argosy;

TEST_CASE("every backend that runs here passes the self-test") {
    for (const BackendEntry& backend : backends()) {
        if (backend.ops == nullptr) continue;
        INFO(backend.name << " " << backend.numerics);
        const SelfTest test = self_test(*backend.ops, reference_of(*backend.ops), {.threads = 2, .native = nullptr});
        CHECK(test.falsified.empty());
        CHECK(test.tried == std::vector<std::string>{"batch", "threads", "chunks", "ranks", "reference"});
    }
}

TEST_CASE("an op whose bits depend on the batch, the threads or the chunk is found out") {
    Ops broken = reference_ops();
    broken.logits = [](const LogitsArgs& args, const Stream& stream) {
        reference_ops().logits(args, stream);
        if (args.rows == 1) args.out[0] += 1e-3F;
    };
    CHECK(self_test(broken, reference_ops(), {.threads = 2, .native = nullptr}).falsified ==
          std::vector<std::string>{"batch"});
    broken = reference_ops();
    broken.attention = [](const AttentionArgs& args, const Stream& stream) {
        reference_ops().attention(args, stream);
        if (stream.threads == 2) args.out[0] += 1e-3F;
    };
    const auto guilty = self_test(broken, reference_ops(), {.threads = 2, .native = nullptr}).falsified;
    // With two threads every chunk's first value is off, so chunks disagree with the whole as well.
    CHECK(guilty == std::vector<std::string>{"threads", "chunks", "reference"});
    // A table of int8 is tried with a KV cache of int8 too.
    const Ops& codes = select_backend("reference", "auto", "int8");
    broken = codes;
    broken.attention = [](const AttentionArgs& args, const Stream& stream) {
        reference_ops().attention(args, stream);
        if (args.kv.spec.dtype == DType::int8) args.out[0] += 1e-3F;
    };
    CHECK(self_test(broken, codes, {.threads = 1, .native = nullptr}).falsified ==
          std::vector<std::string>{"chunks", "reference"});
    broken = reference_ops();
    broken.leaf_join = [](const LeafJoinArgs& args, const Stream& stream) {
        reference_ops().leaf_join(args, stream);
        if (args.parts == 4) args.out[0] += 1e-3F;
    };
    CHECK(self_test(broken, reference_ops(), {.threads = 1, .native = nullptr}).falsified ==
          std::vector<std::string>{"ranks"});
    CHECK(describe(self_test(broken, reference_ops(), {.threads = 1, .native = nullptr}))
              .rfind("FALSIFIED by ranks", 0) == 0);
}
