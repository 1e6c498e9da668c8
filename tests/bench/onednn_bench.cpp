// Plain products of argosy beside those of oneDNN: in one process, turn by turn, out = x * weights with f32 results.
//
//   argosy_onednn_bench [--threads N] [--rounds N] [--numerics NAME] [--rows M]
//
// Weights stand as each library wants them. Argosy takes f32 rows and rounds or quantises them within its time, with a
// scale per block of 128 columns for int8; oneDNN is given rows that are bf16 or int8 already, and one scale.
#include <fmt/format.h>
#include <omp.h>

#include <cstdlib>
#include <cstring>
#include <dnnl.hpp>
#include <random>
#include <string_view>

#include "kernels/backend.hpp"
#include "kernels/base/buffer.hpp"
#include "tests/bench/machine_limits.hpp"

namespace argosy::bench {
namespace {

using dnnl::memory;

std::vector<float> random_values(std::size_t count, float most) {
    std::minstd_rand random(7);
    std::vector<float> values(count);
    for (float& value : values) value = std::uniform_real_distribution<float>(-most, most)(random);
    return values;
}

// What is multiplied, and how each side calls it.
struct Kind {
    std::string_view numerics;
    memory::data_type type;
    ArithmeticKind arithmetic;
};
constexpr Kind kKinds[] = {{"exact", memory::data_type::f32, ArithmeticKind::f32},
                           {"bf16", memory::data_type::bf16, ArithmeticKind::bf16},
                           {"bf16-amx", memory::data_type::bf16, ArithmeticKind::bf16},
                           {"int8", memory::data_type::s8, ArithmeticKind::int8}};

struct Shape {
    std::int64_t rows, n, k;
};

// A product of oneDNN and the memory that it works on.
class OneDnnProduct {
  public:
    OneDnnProduct(const Shape& shape, memory::data_type type)
        : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_), matmul_(make(shape, type)) {}
    void run() {
        matmul_.execute(stream_, arguments_);
        stream_.wait();
    }

  private:
    // Random numbers as `wanted` keeps them, from row-major f32.
    memory filled(const memory::desc& wanted, const memory::dims& dims) {
        std::vector<float> values = random_values(static_cast<std::size_t>(dims[0] * dims[1]),
                                                  wanted.data_type() == memory::data_type::s8 ? 100 : 1);
        memory from({dims, memory::data_type::f32, memory::format_tag::ab}, engine_, values.data());
        memory to(wanted, engine_);
        dnnl::reorder(from, to).execute(stream_, from, to);
        stream_.wait();
        return to;
    }
    dnnl::matmul make(const Shape& shape, memory::data_type type) {
        const memory::dims x{shape.rows, shape.k}, weights{shape.k, shape.n}, out{shape.rows, shape.n};
        const dnnl::matmul::desc wanted({x, type, memory::format_tag::ab}, {weights, type, memory::format_tag::any},
                                        {out, memory::data_type::f32, memory::format_tag::ab});
        dnnl::primitive_attr attributes;
        if (type == memory::data_type::s8) attributes.set_output_scales(0, {0.01F});
        const dnnl::matmul::primitive_desc chosen(wanted, attributes, engine_);
        arguments_ = {{DNNL_ARG_SRC, filled(chosen.src_desc(), x)},
                      {DNNL_ARG_WEIGHTS, filled(chosen.weights_desc(), weights)},
                      {DNNL_ARG_DST, memory(chosen.dst_desc(), engine_)}};
        return dnnl::matmul(chosen);
    }

    dnnl::engine engine_;
    dnnl::stream stream_;
    std::unordered_map<int, memory> arguments_;
    dnnl::matmul matmul_;
};

// The same of argosy.
class ArgosyProduct {
  public:
    ArgosyProduct(const Shape& shape, const Ops& ops, int threads)
        : shape_(shape),
          ops_(ops),
          stream_{.threads = threads},
          spec_{shape.n, shape.k, kept_as(ops, DType::f32), {}},
          weights_(ops.packed_bytes(spec_)),
          scratch_(ops.product_scratch_bytes(spec_, shape.rows, threads)),
          x_(random_values(static_cast<std::size_t>(shape.rows * shape.k), 1)),
          out_(static_cast<std::size_t>(shape.rows * shape.n)) {
        std::memset(weights_.data(), 0, weights_.bytes());
        const std::vector<float> source = random_values(static_cast<std::size_t>(shape.n * shape.k), 1);
        ops.pack({.spec = spec_,
                  .row_begin = 0,
                  .rows = shape.n,
                  .source = source.data(),
                  .source_dtype = DType::f32,
                  .source_stride_bytes = shape.k * 4,
                  .packed = weights_.data(),
                  .source_columns = shape.k});
    }
    void run() {
        ops_.logits({static_cast<int>(shape_.rows),
                     x_.data(),
                     {spec_, weights_.data()},
                     out_.data(),
                     shape_.n,
                     scratch_.as<std::byte>()},
                    stream_);
    }

  private:
    Shape shape_;
    const Ops& ops_;
    Stream stream_;
    MatrixSpec spec_;
    Buffer weights_, scratch_;
    std::vector<float> x_, out_;
};

double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
    return values[values.size() / 2];
}

void compare(const Kind& kind, const Shape& shape, int threads, int rounds, double limit) {
    const Ops& ops = select_backend("cpu", "auto", kind.numerics);
    ArgosyProduct ours(shape, ops, threads);
    OneDnnProduct theirs(shape, kind.type);
    std::vector<double> our_ns, their_ns, ratio;
    for (int round = 0; round < rounds; ++round) {
        our_ns.push_back(median_ns(threads, [&] { ours.run(); }));
        their_ns.push_back(median_ns(threads, [&] { theirs.run(); }));
        ratio.push_back(their_ns.back() / our_ns.back());
    }
    const double operations = 2.0 * static_cast<double>(shape.rows * shape.n * shape.k);
    const double mine = operations / median(our_ns);
    const double other = operations / median(their_ns);
    fmt::print(
        "{:<9} {:<10} M={:<5} n={:<5} k={:<5} {:>8.0f} Gop/s {:>5.1f} %   oneDNN {:>8.0f} Gop/s {:>5.1f} %   {:.2f}\n",
        kind.numerics, ops.name, shape.rows, shape.n, shape.k, mine, 100 * mine / limit, other, 100 * other / limit,
        median(ratio));
    std::fflush(stdout);
}

int run(int argc, char** argv) {
    int threads = 1;
    int rounds = 5;
    int rows_wanted = 0;
    std::string_view numerics;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::string_view(argv[i]) == "--numerics") {
            numerics = argv[i + 1];
            continue;
        }
        int& value = std::string_view(argv[i]) == "--rounds" ? rounds
                     : std::string_view(argv[i]) == "--rows" ? rows_wanted
                                                             : threads;
        value = std::max(1, std::atoi(argv[i + 1]));
    }
    omp_set_num_threads(threads);
    prepare_threads(threads);
    fmt::print(
        "{} threads, medians of {} rounds; of the limit of the instructions that argosy uses; ratio: argosy's speed "
        "to oneDNN's\n",
        threads, rounds);
    for (const Kind& kind : kKinds) {
        if (!numerics.empty() && numerics != kind.numerics) continue;
        const double limit =
            arithmetic_gops(kind.arithmetic, select_backend("cpu", "auto", kind.numerics).name, threads);
        for (const std::int64_t rows : {64, 256, 2048}) {
            if (rows_wanted > 0 && rows_wanted != rows) continue;
            for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{1536, 1024}, {1024, 512}, {4096, 4096}})
                compare(kind, {rows, n, k}, threads, rounds, limit);
        }
    }
    return 0;
}

}  // namespace
}  // namespace argosy::bench

int main(int argc, char** argv) { return argosy::bench::run(argc, argv); }
