// Ways of computing a product: the widest wgmma with all of its defaults is what the others are compared with.
#include "tests/device/bit_checks.hpp"

#include "tests/device/batch.cuh"
#include "tests/device/model_check.hpp"

namespace argosy::device {

namespace {

constexpr int kColumns = 256;

// A batch, its products computed in the way that others are compared with, and the checks so far.
template <class Code>
struct Comparison {
    Batch<Code> batch;
    DeviceArray<float> other;
    std::vector<BitCheck> checks;

    Comparison(int problems, int columns, int k, Pattern pattern)
        : batch(problems, columns, k), other(batch.outputs()) {
        fill(batch.view(), pattern);
        Way way;
        way.n = columns;
        multiply(batch.view(), way);
    }

    // Adds a comparison of what stands in `other` to the check of that name.
    void count(const std::string& what, bool must_agree) {
        if (checks.empty() || checks.back().what != what) checks.push_back({what, must_agree});
        checks.back().outputs += static_cast<std::int64_t>(batch.outputs());
        checks.back().differing +=
            count_differing(batch.d.data(), other.data(), static_cast<std::int64_t>(batch.outputs()));
    }

    void compare(const std::string& what, bool must_agree, const Way& way) {
        Problems<Code> view = batch.view();
        view.d = other.data();
        other.poison();
        multiply(view, way);
        count(what, must_agree);
    }
};

template <class Code>
void compare_tiles(Comparison<Code>& work) {
    Way way;
    work.compare("the same again", true, way);
    for (way.n = 8; way.n < 256; way.n += 8) work.compare("N = 8, 16, ... 248 against N = 256", true, way);
    way.a_registers = true;
    for (way.n = 8; way.n <= 256; way.n += 8) work.compare("A from registers, all N", true, way);
    way = {};
    for (way.row_shift = 1; way.row_shift < kRows; ++way.row_shift)
        work.compare("every row in every row of the instruction", true, way);
    way = {};
    for (way.column_shift = 1; way.column_shift < kColumns; ++way.column_shift)
        work.compare("every column in every column of N = 256", true, way);
    way = {};
    way.n = 8;
    for (way.column_shift = 1; way.column_shift < 8; ++way.column_shift)
        work.compare("every column in every column of N = 8", true, way);
    way = {};
    for (way.n = 64; way.n <= 256; way.n += 192)
        for (way.group = 1; way.group < 4; way.group *= 2)
            work.compare("1 and 2 instructions in a commit group against 4", true, way);
}

// A chain that is cut in two: the first part's D is the second's C.
template <class Code>
void compare_split_chain(Comparison<Code>& work) {
    const Problems<Code> whole = work.batch.view();
    constexpr int kBlock = 128 / static_cast<int>(sizeof(Code));
    for (int cut = kBlock; cut < whole.k; cut += kBlock) {
        Problems<Code> part = whole;
        part.d = work.other.data();
        part.k = cut;
        work.other.poison();
        multiply(part, Way{});
        part = whole;
        part.a += cut;
        part.b += cut;
        part.k -= cut;
        part.c = part.d = work.other.data();
        multiply(part, Way{});
        work.count("K cut in two, the accumulator carried through memory", true);
    }
}

// The first instruction without an accumulator against one that adds to zeros.
template <class Code>
void compare_empty(Comparison<Code>& work) {
    const DeviceArray<float> zeros(std::vector<float>(work.batch.outputs(), 0.0F));
    Problems<Code> view = work.batch.view();
    view.c = zeros.data();
    multiply(view, Way{});
    view.c = nullptr;
    view.d = work.other.data();
    multiply(view, Way{});
    work.count("first instruction without accumulator against +0", true);
}

// Tokens as columns and weights as rows against the other way round.
template <class Code>
void compare_swapped(Comparison<Code>& work) {
    const Problems<Code> p = work.batch.view();
    Problems<Code> swapped = p;
    std::swap(swapped.a, swapped.b);
    const std::vector<float> c = work.batch.c.to_host();
    const auto transposed = [&](const std::vector<float>& values) {
        std::vector<float> result(values.size());
        for (std::size_t i = 0; i < values.size(); ++i) result[i / 4096 * 4096 + i % 64 * 64 + i / 64 % 64] = values[i];
        return result;
    };
    const DeviceArray<float> c_swapped(transposed(c)), d_swapped(c.size());
    swapped.c = c_swapped.data();
    swapped.d = d_swapped.data();
    for (const bool a_registers : {false, true})
        for (const int n : {8, 16, 24, 32, 64}) {
            Way way;
            way.n = n;
            way.a_registers = a_registers;
            d_swapped.poison();
            multiply(swapped, way);
            const std::vector<float> back = transposed(d_swapped.to_host());
            checked(cudaMemcpy(work.other.data(), back.data(), back.size() * sizeof(float), cudaMemcpyHostToDevice),
                    "take data");
            work.count("operands swapped, N = 8, 16, 24, 32, 64", true);
        }
}

// Odd rows of A and odd columns become NaN; the even ones must not notice.
template <class Code>
void compare_neighbours(Comparison<Code>& work) {
    Batch<Code>& batch = work.batch;
    const std::vector<float> before = batch.d.to_host();
    const auto spoilt = [&](const DeviceArray<Code>& codes) {
        std::vector<Code> values = codes.to_host();
        const auto row = static_cast<std::size_t>(batch.k);
        for (std::size_t i = 0; i < values.size(); ++i)
            if (i / row % 2 == 1) values[i] = static_cast<Code>(0x7fff);
        return values;
    };
    const DeviceArray<Code> a(spoilt(batch.a)), b(spoilt(batch.b));
    Problems<Code> view = batch.view();
    view.a = a.data();
    view.b = b.data();
    view.d = work.other.data();
    multiply(view, Way{});
    const std::vector<float> after = work.other.to_host();
    BitCheck check{"rows and columns beside NaN", true};
    for (std::size_t i = 0; i < after.size(); ++i) {
        if (i % 2 == 1 || i / static_cast<std::size_t>(batch.columns) % 2 == 1) continue;
        ++check.outputs;
        check.differing +=
            __builtin_bit_cast(std::uint32_t, before[i]) != __builtin_bit_cast(std::uint32_t, after[i]) ? 1 : 0;
    }
    work.checks.push_back(check);
}

template <class Code>
std::vector<BitCheck> all_ways(Pattern pattern) {
    Comparison<Code> wide(8, kColumns, 1024 / static_cast<int>(sizeof(Code)), pattern);
    compare_tiles(wide);
    compare_split_chain(wide);
    for (const Unit unit : {Unit::mma, Unit::mma_half_k}) {
        if (sizeof(Code) == 1 && unit == Unit::mma_half_k) continue;  // there is none
        Way way;
        way.unit = unit;
        // Only mma.sync of bf16 with 32 bytes of K is the same arithmetic.
        wide.compare(unit_name(sizeof(Code), unit) + " against wgmma", sizeof(Code) == 2 && unit == Unit::mma, way);
    }
    compare_neighbours(wide);
    compare_empty(wide);  // last: it writes the products anew
    Comparison<Code> square(8, kRows, 1024 / static_cast<int>(sizeof(Code)), pattern);
    compare_swapped(square);
    wide.checks.insert(wide.checks.end(), square.checks.begin(), square.checks.end());
    return wide.checks;
}

}  // namespace

std::vector<BitCheck> check_ways(int code_bytes, Pattern pattern) {
    return code_bytes == 2 ? all_ways<std::uint16_t>(pattern) : all_ways<std::uint8_t>(pattern);
}

std::vector<Unit> units_of(int code_bytes) {
    if (code_bytes == 1) return {Unit::wgmma};
    return {Unit::wgmma, Unit::mma, Unit::mma_half_k};
}

std::string unit_name(int code_bytes, Unit unit) {
    if (code_bytes == 1) return unit == Unit::wgmma ? "wgmma k32 e4m3" : "mma.sync k32 e4m3";
    if (unit == Unit::wgmma) return "wgmma k16 bf16";
    return unit == Unit::mma ? "mma.sync k16 bf16" : "mma.sync k8 bf16";
}

}  // namespace argosy::device
