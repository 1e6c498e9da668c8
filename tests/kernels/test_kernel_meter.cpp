// The meter of kernels: work by formula against counts by hand, and booking by phase, account and kernel.
#include <catch2/catch.hpp>

#include <vector>

#include "kernels/kernel_meter.hpp"

using namespace argosy;

namespace {

MatrixSpec matrix(std::int64_t n, std::int64_t k, DType dtype) { return {.n = n, .k = k, .dtype = dtype, .cut = {}}; }

}  // namespace

TEST_CASE("work of products is counted by their rows, and weights of matrices without rows are not read") {
    QkvArgs qkv;
    qkv.rows = 3;
    qkv.weight.spec = matrix(128, 64, DType::bf16);
    qkv.kv.spec = {.kv_heads = 2, .head_dim = 16, .dtype = DType::bf16};
    CHECK(work_of(qkv) == OpWork{Kernel::qkv, 3, 2 * 3 * 64 * 128, 2 * 64 * 128 + 3 * 2 * 2 * 16 * 2, false});

    const std::int32_t group_begin[] = {0, 5, 5, 7};
    const std::vector<WeightMatrix> weights(3, {.spec = matrix(48, 256, DType::int8), .data = nullptr});
    GateUpArgs gate_up;
    gate_up.groups = 3;
    gate_up.group_begin = group_begin;
    gate_up.gate = gate_up.up = weights.data();
    // Codes of 1 byte and 4 bytes of scale for 128 of them; two of the three matrices have rows.
    CHECK(work_of(gate_up) == OpWork{Kernel::gate_up, 7, 2 * 7 * 256 * 96, 2 * (96 * 256 + 96 * 256 / 128 * 4), false});

    LeafProjectionArgs projection;
    projection.groups = 3;
    projection.group_begin = group_begin;
    projection.weight = weights.data();
    CHECK(work_of(projection).operations == 2 * 7 * 256 * 48);

    RouteArgs route;
    route.rows = 4;
    route.weight.spec = matrix(8, 64, DType::f32);
    CHECK(work_of(route) == OpWork{Kernel::route, 4, 2 * 4 * 8 * 64, 4 * 8 * 64, true});
}

TEST_CASE("attention's work is that of its pairs, and each span's keys and values are read once") {
    const AttentionSpan spans[] = {{.row_begin = 0, .rows = 3, .first_position = 10, .blocks = nullptr},
                                   {.row_begin = 3, .rows = 1, .first_position = 0, .blocks = nullptr}};
    AttentionArgs args;
    args.spans = 2;
    args.span = spans;
    args.q_heads = 4;
    args.head_dim = 32;
    args.kv.spec = {.kv_heads = 2, .head_dim = 32, .dtype = DType::f32};
    const std::int64_t pairs = (11 + 12 + 13) + 1;
    CHECK(work_of(args) == OpWork{Kernel::attention, 4, pairs * 4 * 32 * 4, (13 + 1) * 2 * 2 * 32 * 4, true});
}

TEST_CASE("a call is booked under the clock's phase and account, with the least time that the machine allows") {
    AccountClock clock(0);
    KernelMeter meter(clock);
    const OpWork work{Kernel::gate_up, 2, 4000, 100, false};
    clock.switch_to(Account::experts, 1);
    clock.set_phase(Phase::decode, 2);
    meter.add(work, 70);
    meter.compare_with({.gflops = 10,
                        .product_gops = 40,
                        .memory_gbytes_per_s = 2,
                        .caches = {{.bytes = 1000, .gbytes_per_s = 4}},
                        .send_gbytes_per_s = 0,
                        .verb_ns = 0},
                       1000);
    meter.add(work, 130);
    CHECK(meter.of(Phase::decode, Account::experts, Kernel::gate_up) ==
          KernelTotals{.ns = 200, .calls = 2, .rows = 4, .operations = 8000, .bytes = 200, .limit_ns = 100});
    CHECK(meter.of(Phase::prefill, Account::experts, Kernel::gate_up) == KernelTotals{});

    clock.switch_to(Account::attention, 3);
    meter.add({Kernel::attention, 1, 4000, 100, true}, 500);  // f32, whatever products are
    CHECK(meter.of(Phase::decode, Account::attention, Kernel::attention).limit_ns == 400);
    meter.add({Kernel::attention, 1, 0, 400, true}, 500);  // 400 bytes from the cache
    CHECK(meter.of(Phase::decode, Account::attention, Kernel::attention).limit_ns == 500);
}

TEST_CASE("an op runs once whether it is timed or not, and a clock that stands still times nothing") {
    AccountClock clock(monotonic_ns());
    KernelMeter meter(clock);
    Stream stream;
    static int calls;
    calls = 0;
    void (*const op)(const RmsNormArgs&, const Stream&) = [](const RmsNormArgs&, const Stream&) { ++calls; };
    run_op(op, {.rows = 5}, stream);
    CHECK(calls == 1);
    stream.meter = &meter;
    run_op(op, {.rows = 5}, stream);
    CHECK(calls == 2);
    clock.stand_still(monotonic_ns());
    run_op(op, {.rows = 5}, stream);
    CHECK(calls == 3);
    const KernelTotals& booked = meter.of(Phase::none, Account::launch, Kernel::rms_norm);
    CHECK(booked.calls == 1);
    CHECK(booked.rows == 5);
    CHECK(booked.ns >= 0);
}
