// Reading, sending and packing weights, in rounds of one piece per reader.
#include "runtime/forward/load_weights.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <tuple>

#include "kernels/base/error.hpp"
#include "kernels/base/philox.hpp"
#include "kernels/quant/bf16.hpp"
#include "kernels/quant/f16.hpp"
#include "runtime/forward/load_plan.hpp"
#include "runtime/schedule/token_hash.hpp"

namespace argosy {

namespace {

// Homes of one share, and where each tensor's begin.
struct ShareHomes {
    ArenaLayout layout;
    std::vector<std::size_t> begin;  // [tensors + 1]
    std::span<const TensorHome> of(int tensor) const {
        const auto t = static_cast<std::size_t>(tensor);
        return std::span(layout.homes).subspan(begin[t], begin[t + 1] - begin[t]);
    }
};

ShareHomes homes_of(const ModelPlan& plan, const WeightSource& source, const LayoutShare& share, const Ops& ops) {
    std::vector<DType> dtypes;
    for (const StoredTensor& tensor : source.stored) dtypes.push_back(tensor.dtype);
    ShareHomes homes{lay_out_arenas(plan, source.tensors, dtypes, share, ops), {}};
    std::size_t next = 0;
    for (std::size_t t = 0; t <= source.tensors.size(); ++t) {
        while (next < homes.layout.homes.size() && static_cast<std::size_t>(homes.layout.homes[next].tensor) < t)
            ++next;
        homes.begin.push_back(next);
    }
    return homes;
}

std::int64_t element_bytes(const StoredTensor& tensor) { return static_cast<std::int64_t>(size_of(tensor.dtype)); }

std::int64_t piece_bytes(const LoadPiece& piece, const StoredTensor& tensor) {
    return (piece.row_end - piece.row_begin) * columns_of(tensor) * element_bytes(tensor);
}

// Noise with the spread of a sum of four uniform bytes: cheap, bounded, and the same on every machine. One Philox block
// gives four elements, a word each.
void fill_random(const LoadPiece& piece, const StoredTensor& tensor, bool norm, std::uint64_t seed, std::byte* into) {
    auto* element = reinterpret_cast<std::uint16_t*>(into);
    const std::uint64_t name = hash64(tensor.name, seed);
    const std::int64_t begin = piece.row_begin * columns_of(tensor);
    const std::int64_t end = piece.row_end * columns_of(tensor);
    constexpr float kDeviation = 0.02f;
    constexpr float kByteSumMean = 510.0f;       // of four numbers from 0 to 255
    constexpr float kByteSumDeviation = 147.8f;  // sqrt(4 * (256^2 - 1) / 12)
#pragma omp parallel for schedule(static)
    for (std::int64_t block = begin / 4; block < (end + 3) / 4; ++block) {
        const PhiloxWords random =
            philox4x32_10({{static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                            static_cast<std::uint32_t>(name), static_cast<std::uint32_t>(name >> 32)}},
                          static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
        for (std::int64_t i = std::max(begin, 4 * block); i < std::min(end, 4 * block + 4); ++i) {
            const std::uint32_t word = random.word[i - 4 * block];
            const auto sum =
                static_cast<float>((word & 255u) + (word >> 8 & 255u) + (word >> 16 & 255u) + (word >> 24));
            element[i - begin] = encode_bf16(norm ? 1.0f : (sum - kByteSumMean) * (kDeviation / kByteSumDeviation));
        }
    }
}

// Copies rows and columns of a piece, dense.
std::byte* copy_part(const LoadPiece& piece, const StoredTensor& tensor, const TensorSlice& part, const std::byte* from,
                     std::byte* into) {
    const std::int64_t element = element_bytes(tensor);
    const std::int64_t row_bytes = columns_of(tensor) * element;
    const std::int64_t part_bytes = (part.column_end - part.column_begin) * element;
    for (std::int64_t row = part.row_begin; row < part.row_end; ++row) {
        std::memcpy(into, from + (row - piece.row_begin) * row_bytes + part.column_begin * element,
                    static_cast<std::size_t>(part_bytes));
        into += part_bytes;
    }
    return into;
}

void widen(const std::byte* from, DType dtype, std::int64_t count, float* into) {
    for (std::int64_t i = 0; i < count; ++i) {
        std::uint16_t half = 0;
        if (dtype == DType::f32) {
            std::memcpy(into + i, from + 4 * i, 4);
            continue;
        }
        std::memcpy(&half, from + 2 * i, 2);
        into[i] = dtype == DType::bf16 ? decode_bf16(half) : decode_f16(half);
    }
}

// Packs rows of a home's slice by all threads, in strips that share no output panel.
void pack_rows(const TensorHome& home, std::int64_t first, std::int64_t rows, DType dtype, const std::byte* from,
               std::int64_t stride_bytes, std::byte* packed, const Ops& ops) {
    constexpr std::int64_t kStripRows = 64;
    const std::int64_t begin = home.row_begin + first;
#pragma omp parallel for schedule(static)
    for (std::int64_t strip = begin / kStripRows; strip <= (begin + rows - 1) / kStripRows; ++strip) {
        const std::int64_t row = std::max(begin, strip * kStripRows);
        const std::int64_t end = std::min(begin + rows, (strip + 1) * kStripRows);
        ops.pack({.spec = home.spec,
                  .row_begin = row,
                  .rows = end - row,
                  .source = from + (row - begin) * stride_bytes,
                  .source_dtype = dtype,
                  .source_stride_bytes = stride_bytes,
                  .packed = packed});
    }
}

// Puts what was received of a piece into its home; returns the bytes taken.
std::int64_t settle_part(const TensorHome& home, const TensorSlice& part, const StoredTensor& tensor,
                         const std::byte* from, std::byte* arena, const Ops& ops) {
    const std::int64_t bytes = part.elements() * element_bytes(tensor);
    const std::int64_t first = part.row_begin - home.slice.row_begin;  // row of the slice
    const std::int64_t columns = part.column_end - part.column_begin;
    std::byte* at = arena + home.offset;
    switch (home.kind) {
        case HomeKind::raw:
            std::memcpy(at + first * columns * element_bytes(tensor), from, static_cast<std::size_t>(bytes));
            break;
        case HomeKind::vector:
            widen(from, tensor.dtype, part.elements(), reinterpret_cast<float*>(at) + home.row_begin + first);
            break;
        case HomeKind::matrix:
            pack_rows(home, first, part.row_end - part.row_begin, tensor.dtype, from, columns * element_bytes(tensor),
                      at, ops);
            break;
    }
    return bytes;
}

bool is_norm(TensorRole role) {
    return role == TensorRole::attn_norm || role == TensorRole::ffn_norm || role == TensorRole::final_norm ||
           role == TensorRole::q_norm || role == TensorRole::k_norm;
}

// One rank's side of the loading: owns the buffers and the open files.
class Loader {
  public:
    Loader(MpiSession& session, const RankLayout& layout, const ModelPlan& plan, const WeightSource& source,
           const Ops& ops, AccountClock& clock)
        : session_(session),
          plan_(plan),
          source_(source),
          ops_(ops),
          clock_(clock),
          load_(plan_load(source.stored, session.size())) {
        for (int rank = 0; rank < session.size(); ++rank) {
            const LayoutShare share = share_of(place_of(layout, rank), layout);
            const auto key = std::tuple(share.tp_rank, share.ep_rank, share.etp_rank);
            auto [it, added] = homes_.try_emplace(key, nullptr);
            if (added) it->second = std::make_unique<ShareHomes>(homes_of(plan, source, share, ops));
            homes_of_rank_.push_back(it->second.get());
        }
        files_.resize(source.files.size());
    }

    const ShareHomes& mine() const { return *homes_of_rank_[static_cast<std::size_t>(session_.rank())]; }
    std::int64_t bytes_read() const { return bytes_read_; }

    // `wanted` [ranks]: bit a set where the rank fills arena a.
    void run(const std::vector<std::uint32_t>& wanted, const std::array<std::byte*, kArenaCount>& arena) {
        std::optional<ErrorReport> trouble;
        for (std::int64_t round = 0; round < load_.rounds; ++round) {
            read_piece(round, trouble);
            exchange(round, wanted);
            settle(round, wanted, arena);
        }
        if (const auto agreed = session_.agree(trouble)) throw AgreedError(agreed->kind, agreed->sentence);
    }

    // The digest over all pieces, in file order, whoever read them.
    std::string digest() {
        std::vector<std::int64_t> counts;
        for (int rank = 0; rank < session_.size(); ++rank) {
            counts.push_back((load_.reader_begin[static_cast<std::size_t>(rank) + 1] -
                              load_.reader_begin[static_cast<std::size_t>(rank)]) *
                             static_cast<std::int64_t>(sizeof(Digest128)));
        }
        std::vector<Digest128> all(load_.pieces.size());
        session_.world().all_gather_v(digests_.data(), all.data(), counts);
        Digest128 whole;
        for (std::size_t p = 0; p < load_.pieces.size(); ++p) {
            const StoredTensor& tensor = source_.stored[static_cast<std::size_t>(load_.pieces[p].tensor)];
            whole = chain_digest_bytes(
                whole, fmt::format("{} {} [{}] row {}: {}", tensor.name, name_of(tensor.dtype),
                                   fmt::join(tensor.shape, ","), load_.pieces[p].row_begin, to_string(all[p])));
        }
        return to_string(whole);
    }

  private:
    const LoadPiece* piece_of(int rank, std::int64_t round) const {
        const std::int64_t index = load_.reader_begin[static_cast<std::size_t>(rank)] + round;
        return index < load_.reader_begin[static_cast<std::size_t>(rank) + 1]
                   ? &load_.pieces[static_cast<std::size_t>(index)]
                   : nullptr;
    }
    const StoredTensor& stored(const LoadPiece& piece) const {
        return source_.stored[static_cast<std::size_t>(piece.tensor)];
    }

    // A rank that cannot read goes on with what is in the buffer, so that nobody waits for it, and tells all at the
    // end.
    void read_piece(std::int64_t round, std::optional<ErrorReport>& trouble) {
        const InAccount account(clock_, Account::load_read);
        const LoadPiece* piece = piece_of(session_.rank(), round);
        if (piece == nullptr) return;
        const StoredTensor& tensor = stored(*piece);
        piece_buffer_.resize(static_cast<std::size_t>(piece_bytes(*piece, tensor)));
        if (source_.random_seed) {
            fill_random(*piece, tensor, is_norm(source_.tensors[static_cast<std::size_t>(piece->tensor)].role),
                        *source_.random_seed, piece_buffer_.data());
        } else if (!trouble) {
            try {
                auto& file = files_[static_cast<std::size_t>(tensor.file)];
                if (!file)
                    file = std::make_unique<CheckpointFile>(source_.files[static_cast<std::size_t>(tensor.file)].path);
                file->read(tensor.offset + piece->row_begin * columns_of(tensor) * element_bytes(tensor),
                           piece_buffer_);
                bytes_read_ += static_cast<std::int64_t>(piece_buffer_.size());
            } catch (const Error& error) {
                trouble = ErrorReport{error.kind(), error.what(), session_.rank()};
            }
        }
        digests_.push_back(
            chain_digest_bytes({}, {reinterpret_cast<const char*>(piece_buffer_.data()), piece_buffer_.size()}));
    }

    void exchange(std::int64_t round, const std::vector<std::uint32_t>& wanted) {
        const InAccount account(clock_, Account::load_exchange);
        const int size = session_.size();
        send_counts_.assign(static_cast<std::size_t>(size), 0);
        receive_counts_.assign(static_cast<std::size_t>(size), 0);
        send_buffer_.clear();
        if (const LoadPiece* piece = piece_of(session_.rank(), round)) {
            const StoredTensor& tensor = stored(*piece);
            for (int rank = 0; rank < size; ++rank) {
                const auto homes = homes_of_rank_[static_cast<std::size_t>(rank)]->of(piece->tensor);
                const std::int64_t bytes =
                    bytes_wanted(*piece, homes, element_bytes(tensor), wanted[static_cast<std::size_t>(rank)]);
                send_counts_[static_cast<std::size_t>(rank)] = bytes;
                const std::size_t begin = send_buffer_.size();
                send_buffer_.resize(begin + static_cast<std::size_t>(bytes));
                std::byte* into = send_buffer_.data() + begin;
                for (const TensorHome& home : homes) {
                    if ((wanted[static_cast<std::size_t>(rank)] >> static_cast<unsigned>(home.arena) & 1u) == 0)
                        continue;
                    into = copy_part(*piece, tensor, overlap(*piece, home.slice), piece_buffer_.data(), into);
                }
            }
        }
        std::int64_t total = 0;
        for (int rank = 0; rank < size; ++rank) {
            const LoadPiece* piece = piece_of(rank, round);
            if (piece == nullptr) continue;
            receive_counts_[static_cast<std::size_t>(rank)] =
                bytes_wanted(*piece, mine().of(piece->tensor), element_bytes(stored(*piece)),
                             wanted[static_cast<std::size_t>(session_.rank())]);
            total += receive_counts_[static_cast<std::size_t>(rank)];
        }
        receive_buffer_.resize(static_cast<std::size_t>(total));
        session_.world().all_to_all_v(send_buffer_.data(), send_counts_, receive_buffer_.data(), receive_counts_);
    }

    void settle(std::int64_t round, const std::vector<std::uint32_t>& wanted,
                const std::array<std::byte*, kArenaCount>& arena) {
        const InAccount account(clock_, Account::load_pack);
        const std::byte* from = receive_buffer_.data();
        for (int rank = 0; rank < session_.size(); ++rank) {
            const LoadPiece* piece = piece_of(rank, round);
            if (piece == nullptr) continue;
            for (const TensorHome& home : mine().of(piece->tensor)) {
                if ((wanted[static_cast<std::size_t>(session_.rank())] >> static_cast<unsigned>(home.arena) & 1u) == 0)
                    continue;
                const TensorSlice part = overlap(*piece, home.slice);
                if (!part.empty())
                    from += settle_part(home, part, stored(*piece), from, arena[static_cast<std::size_t>(home.arena)],
                                        ops_);
            }
        }
    }

    MpiSession& session_;
    const ModelPlan& plan_;
    const WeightSource& source_;
    const Ops& ops_;
    AccountClock& clock_;
    LoadPlan load_;
    std::map<std::tuple<int, int, int>, std::unique_ptr<ShareHomes>> homes_;
    std::vector<const ShareHomes*> homes_of_rank_;
    std::vector<std::unique_ptr<CheckpointFile>> files_;
    std::vector<std::byte> piece_buffer_, send_buffer_, receive_buffer_;
    std::vector<std::int64_t> send_counts_, receive_counts_;
    std::vector<Digest128> digests_;
    std::int64_t bytes_read_ = 0;
};

}  // namespace

LayoutShare share_of(const RankPlace& place, const RankLayout& layout) {
    return {.tp_rank = place.tp_rank,
            .tp = layout.tp,
            .ep_rank = place.ep_rank,
            .ep = layout.ep,
            .etp_rank = place.etp_rank,
            .etp = layout.etp};
}

WeightSource open_weights(MpiSession& session, const ModelPlan& plan, const std::filesystem::path& folder) {
    std::string wire;
    session.run_agreed([&] {
        if (session.rank() == 0) wire = to_wire(read_checkpoint_headers(folder));
    });
    auto bytes = static_cast<std::int64_t>(wire.size());
    session.world().broadcast(&bytes, sizeof bytes, 0);
    wire.resize(static_cast<std::size_t>(bytes));
    session.world().broadcast(wire.data(), bytes, 0);
    WeightSource source;
    session.run_agreed([&] {
        const Checkpoint checkpoint = parse_checkpoint(checkpoint_headers_from_wire(wire));
        source.tensors = tensor_list(plan);
        source.stored = match_tensors(source.tensors, checkpoint);
        source.files = checkpoint.files;
    });
    return source;
}

WeightSource random_weights(const ModelPlan& plan, std::uint64_t seed) {
    WeightSource source;
    source.tensors = tensor_list(plan);
    source.random_seed = seed;
    std::int64_t offset = 0;
    for (const TensorSpec& tensor : source.tensors) {
        std::int64_t bytes = 2;
        for (const std::int64_t extent : tensor.shape) bytes *= extent;
        source.stored.push_back({.name = tensor.name,
                                 .file = 0,
                                 .dtype = DType::bf16,
                                 .shape = tensor.shape,
                                 .offset = offset,
                                 .bytes = bytes});
        offset += bytes;
    }
    return source;
}

LoadedWeights load_weights(MpiSession& session, const RankLayout& layout, NodeMemory& memory, const ModelPlan& plan,
                           const WeightSource& source, const Ops& ops, AccountClock& clock) {
    Loader loader(session, layout, plan, source, ops, clock);
    const LayoutShare share = share_of(place_of(layout, session.rank()), layout);
    const ArenaLayout& arenas = loader.mine().layout;

    LoadedWeights loaded;
    std::array<std::byte*, kArenaCount> arena{};
    std::uint32_t leads = 0;
    for (int a = 0; a < kArenaCount; ++a) {
        const SharedBlock block = memory.allocate(arena_key(static_cast<Arena>(a), share),
                                                  static_cast<std::size_t>(arenas.bytes[static_cast<std::size_t>(a)]));
        arena[static_cast<std::size_t>(a)] = block.data;
        if (block.is_leader()) leads |= 1u << a;
        (block.sharers > 1 ? loaded.shared_bytes : loaded.private_bytes) +=
            arenas.bytes[static_cast<std::size_t>(a)] / block.sharers;
    }
    std::vector<std::uint32_t> wanted(static_cast<std::size_t>(session.size()));
    session.world().all_gather(&leads, sizeof leads, wanted.data());

    loader.run(wanted, arena);
    memory.publish();
    session.world().barrier();  // leaders on other nodes may still be packing: nobody starts before all can
    loaded.digest = loader.digest();
    loaded.bytes_read = loader.bytes_read();
    if (session.rank() == 0) {
        for (const Checkpoint::File& file : source.files) loaded.bytes_read += file.header_bytes;
    }
    loaded.weights = view_weights(plan, source.tensors, arenas, arena);
    return loaded;
}

}  // namespace argosy
