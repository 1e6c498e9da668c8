// Logits and samples, in chunks of rows so that memory stays bounded for vocabularies of any size.
#include "runtime/forward/vocabulary.hpp"

#include <algorithm>
#include <cstring>

namespace argosy {

namespace {
constexpr std::int64_t kLogitsBytesMax = std::int64_t{64} << 20;
std::size_t floats(std::int64_t rows, std::int64_t columns) {
    return static_cast<std::size_t>(rows * columns) * sizeof(float);
}
}  // namespace

// Wanted rows [begin, end) of a step: which rank owns them in the residual stream, and which rank samples them.
struct Vocabulary::Chunk {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::vector<std::int64_t> own_bytes;  // [tp] bytes of normed rows that each rank brings
    std::int64_t count() const { return static_cast<std::int64_t>(end - begin); }
    RowRange sampled_by(int tp_rank, int tp) const { return row_share(count(), tp_rank, tp); }
};

Vocabulary::Vocabulary(RankContext& rank) : rank_(rank) {
    const std::int64_t row_bytes = static_cast<std::int64_t>(floats(1, rank.plan.vocab_size));
    chunk_rows_ = static_cast<int>(std::clamp<std::int64_t>(kLogitsBytesMax / row_bytes, 16, 512));
    const std::int64_t sampled_max = (chunk_rows_ + rank.layout.tp - 1) / rank.layout.tp;
    own_ = Buffer(floats(chunk_rows_, rank.plan.hidden));
    normed_ = Buffer(floats(chunk_rows_, rank.plan.hidden));
    part_ = Buffer(floats(chunk_rows_, vocab_of(rank.plan, rank.place.tp_rank, rank.layout.tp).count()));
    if (rank.layout.tp > 1) {
        received_ = Buffer(floats(sampled_max, rank.plan.vocab_size));
        logits_ = Buffer(floats(sampled_max, rank.plan.vocab_size));
    }
    scratch_ = Buffer(rank.ops.sample_scratch_bytes(rank.plan.vocab_size, rank.stream.threads));
}

// The chunk's rows after the norm, on every rank: each brings those it owns. Ownership rises with rows, and
// wanted rows rise, so that the ranks' parts stand in order.
const float* Vocabulary::gather_normed(const Chunk& chunk, std::span<const WantedRow> wanted, const float* x,
                                       const float* norm, int rows) {
    const int hidden = rank_.plan.hidden;
    const RowRange own = own_rows(rank_, rows);
    float* own_x = own_.as<float>();
    int count = 0;
    for (std::size_t i = chunk.begin; i < chunk.end; ++i) {
        const std::int64_t row = wanted[i].row;
        if (row < own.begin || row >= own.end) continue;
        std::memcpy(own_x + std::int64_t{count} * hidden, x + (row - own.begin) * hidden, floats(1, hidden));
        ++count;
    }
    run_op(rank_.ops.rms_norm,
           {.rows = count, .hidden = hidden, .x = own_x, .weight = norm, .eps = rank_.plan.rms_eps, .out = own_x},
           rank_.stream);
    if (rank_.layout.tp == 1) return own_x;
    rank_.clock.switch_to(Account::leaf_sum);
    rank_.groups.tp->all_gather_v(own_x, normed_.as<float>(), chunk.own_bytes);
    rank_.clock.switch_to(Account::logits);
    return normed_.as<float>();
}

// Whole rows of logits for the rows this rank samples.
const float* Vocabulary::project(const Chunk& chunk, const float* normed) {
    const int tp = rank_.layout.tp;
    const int me = rank_.place.tp_rank;
    const VocabRange mine = vocab_of(rank_.plan, me, tp);
    if (!mine.empty()) {
        run_op(rank_.ops.logits,
               {.rows = static_cast<int>(chunk.count()),
                .x = normed,
                .weight = rank_.weights.head,
                .out = part_.as<float>(),
                .out_stride = mine.count(),
                .scratch = product_scratch(rank_, product_, rank_.weights.head.spec, chunk.count())},
               rank_.stream);
    }
    if (tp == 1) return part_.as<float>();

    rank_.clock.switch_to(Account::leaf_sum);
    std::vector<std::int64_t> send, receive;
    const std::int64_t sampled = chunk.sampled_by(me, tp).count();
    for (int t = 0; t < tp; ++t) {
        send.push_back(static_cast<std::int64_t>(floats(chunk.sampled_by(t, tp).count(), mine.count())));
        receive.push_back(static_cast<std::int64_t>(floats(sampled, vocab_of(rank_.plan, t, tp).count())));
    }
    rank_.groups.tp->all_to_all_v(part_.data(), send, received_.data(), receive);
    const float* from = received_.as<float>();
    for (int t = 0; t < tp; ++t) {
        const VocabRange range = vocab_of(rank_.plan, t, tp);
        for (std::int64_t row = 0; row < sampled; ++row, from += range.count()) {
            std::memcpy(logits_.as<float>() + row * rank_.plan.vocab_size + range.begin, from,
                        floats(1, range.count()));
        }
    }
    rank_.clock.switch_to(Account::logits);
    return logits_.as<float>();
}

void Vocabulary::run(int rows, std::span<const WantedRow> wanted, const float* x, const float* norm,
                     std::vector<SampleResult>& results, const Observer& observer) {
    const int tp = rank_.layout.tp;
    const int me = rank_.place.tp_rank;
    results.assign(wanted.size(), SampleResult{});
    for (std::size_t begin = 0; begin < wanted.size(); begin += static_cast<std::size_t>(chunk_rows_)) {
        rank_.clock.switch_to(Account::logits);
        Chunk chunk{begin, std::min(begin + static_cast<std::size_t>(chunk_rows_), wanted.size()),
                    std::vector<std::int64_t>(static_cast<std::size_t>(tp), 0)};
        for (std::size_t i = chunk.begin; i < chunk.end; ++i) {
            for (int t = 0; t < tp; ++t) {
                const RowRange owned = row_share(rows, t, tp);
                if (wanted[i].row >= owned.begin && wanted[i].row < owned.end)
                    chunk.own_bytes[static_cast<std::size_t>(t)] +=
                        static_cast<std::int64_t>(floats(1, rank_.plan.hidden));
            }
        }
        const float* logits = project(chunk, gather_normed(chunk, wanted, x, norm, rows));

        rank_.clock.switch_to(Account::sample);
        const RowRange sampled = chunk.sampled_by(me, tp);
        std::vector<SampleRow> how;
        for (std::int64_t i = sampled.begin; i < sampled.end; ++i)
            how.push_back(wanted[chunk.begin + static_cast<std::size_t>(i)].how);
        std::vector<SampleResult> mine(how.size());
        run_op(rank_.ops.sample,
               {.rows = static_cast<int>(how.size()),
                .vocab = rank_.plan.vocab_size,
                .logits = logits,
                .row = how.data(),
                .scratch = scratch_.as<std::byte>(),
                .result = mine.data()},
               rank_.stream);
        if (observer) {
            for (std::int64_t i = 0; i < sampled.count(); ++i)
                observer(chunk.begin + static_cast<std::size_t>(sampled.begin + i), logits + i * rank_.plan.vocab_size);
        }
        std::vector<std::int64_t> result_bytes;
        for (int t = 0; t < tp; ++t)
            result_bytes.push_back(chunk.sampled_by(t, tp).count() * static_cast<std::int64_t>(sizeof(SampleResult)));
        rank_.clock.switch_to(Account::leaf_sum);
        rank_.groups.tp->all_gather_v(mine.data(), results.data() + chunk.begin, result_bytes);
    }
}

std::int64_t Vocabulary::workspace_bytes() const {
    return static_cast<std::int64_t>(own_.bytes() + normed_.bytes() + part_.bytes() + received_.bytes() +
                                     logits_.bytes() + scratch_.bytes() + product_.bytes());
}

}  // namespace argosy
