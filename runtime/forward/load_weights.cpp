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
#include "kernels/quant/block_format.hpp"
#include "runtime/forward/load_plan.hpp"
#include "runtime/forward/piece_rows.hpp"
#include "runtime/forward/settle_rows.hpp"
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
    for (const StoredTensor& tensor : source.sent) dtypes.push_back(tensor.dtype);
    ShareHomes homes{lay_out_arenas(plan, source.tensors, dtypes, share, ops), {}};
    std::size_t next = 0;
    for (std::size_t t = 0; t <= source.tensors.size(); ++t) {
        while (next < homes.layout.homes.size() && static_cast<std::size_t>(homes.layout.homes[next].tensor) < t)
            ++next;
        homes.begin.push_back(next);
    }
    return homes;
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
          sent_(source.sent),
          load_(plan_load(source.stored, session.size(), row_unit(source))) {
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
        find_matrix_scales(trouble);
        for (std::int64_t round = 0; round < load_.rounds; ++round) {
            {
                const InAccount account(clock_, Account::load_read);
                if (const LoadPiece* piece = piece_of(session_.rank(), round)) {
                    expect_ahead(round, trouble);
                    fetch(*piece, trouble);
                    digests_.push_back(chain_digest_bytes(
                        {}, {reinterpret_cast<const char*>(piece_buffer_.data()), piece_buffer_.size()}));
                    convert(*piece);
                }
            }
            exchange(round, wanted);
            settle(round, wanted, arena);
        }
        if (const auto agreed = session_.agree(trouble)) throw AgreedError(agreed->kind, agreed->sentence);
    }

    // The digest over all pieces, in file order, whoever read them. Error(input) when a tensor that must be a copy of
    // another is none.
    std::string digest() {
        const std::vector<Digest128> all = gather_digests();
        check_copies(all);
        return chain_pieces(all);
    }

  private:
    std::vector<Digest128> gather_digests() {
        std::vector<std::int64_t> counts;
        for (int rank = 0; rank < session_.size(); ++rank) {
            counts.push_back((load_.reader_begin[static_cast<std::size_t>(rank) + 1] -
                              load_.reader_begin[static_cast<std::size_t>(rank)]) *
                             static_cast<std::int64_t>(sizeof(Digest128)));
        }
        std::vector<Digest128> all(load_.pieces.size());
        session_.world().all_gather_v(digests_.data(), all.data(), counts);
        return all;
    }

    // The predictor's embedding and head are not kept: checkpoints hold the model's own once more. Equal tensors are
    // cut into equal pieces.
    void check_copies(const std::vector<Digest128>& all) const {
        if (source_.random_seed || !runs_predictor(plan_)) return;
        std::map<TensorRole, std::map<std::int64_t, Digest128>> pieces;  // by first row
        std::map<TensorRole, const StoredTensor*> tensors;
        for (std::size_t p = 0; p < load_.pieces.size(); ++p) {
            const auto t = static_cast<std::size_t>(load_.pieces[p].tensor);
            pieces[source_.tensors[t].role][load_.pieces[p].row_begin] = all[p];
            tensors[source_.tensors[t].role] = &source_.stored[t];
        }
        const TensorRole head = plan_.tie_embeddings ? TensorRole::embedding : TensorRole::lm_head;
        for (const auto& [copy, original] : {std::pair(TensorRole::predictor_embedding, TensorRole::embedding),
                                             std::pair(TensorRole::predictor_head, head)}) {
            if (pieces[copy] == pieces[original] && tensors[copy]->dtype == tensors[original]->dtype) continue;
            throw AgreedError(
                ErrorKind::input,
                fmt::format("The tensor {} is not the same as {}, of which it must be a copy; a predictor "
                            "with its own is not supported. Fetch the model again.",
                            tensors[copy]->name, tensors[original]->name));
        }
    }

    std::string chain_pieces(const std::vector<Digest128>& all) const {
        Digest128 whole;
        for (std::size_t p = 0; p < load_.pieces.size(); ++p) {
            const StoredTensor& tensor = source_.stored[static_cast<std::size_t>(load_.pieces[p].tensor)];
            whole = chain_digest_bytes(
                whole, fmt::format("{} {} [{}] row {}: {}", tensor.name, name_of(tensor.dtype),
                                   fmt::join(tensor.shape, ","), load_.pieces[p].row_begin, to_string(all[p])));
            if (tensor.matrix_scales)
                whole = chain_digest_bytes(
                    whole, fmt::format("scale {:08x}", __builtin_bit_cast(std::uint32_t, tensor.matrix_scale)));
        }
        return to_string(whole);
    }

    const LoadPiece* piece_of(int rank, std::int64_t round) const {
        const std::int64_t index = load_.reader_begin[static_cast<std::size_t>(rank)] + round;
        return index < load_.reader_begin[static_cast<std::size_t>(rank) + 1]
                   ? &load_.pieces[static_cast<std::size_t>(index)]
                   : nullptr;
    }
    const StoredTensor& stored(const LoadPiece& piece) const {
        return source_.stored[static_cast<std::size_t>(piece.tensor)];
    }
    const StoredTensor& sent(const LoadPiece& piece) const { return sent_[static_cast<std::size_t>(piece.tensor)]; }

    static int row_unit(const WeightSource& source) {
        int unit = 1;
        for (const StoredTensor& tensor : source.sent) unit = std::max(unit, block_format(tensor.dtype).rows);
        return unit;
    }

    CheckpointFile& file(int index) {
        auto& file = files_[static_cast<std::size_t>(index)];
        if (!file) file = std::make_unique<CheckpointFile>(source_.files[static_cast<std::size_t>(index)].path);
        return *file;
    }

    // A piece as it is stored into the piece buffer. A rank that cannot read goes on with what is there, so that nobody
    // waits for it, and tells all at the end.
    void fetch(const LoadPiece& piece, std::optional<ErrorReport>& trouble) {
        const StoredTensor& tensor = stored(piece);
        piece_buffer_.resize(
            static_cast<std::size_t>(piece_code_bytes(piece, tensor) + piece_scale_bytes(piece, tensor)));
        if (source_.random_seed) {
            fill_random(piece, source_, piece_buffer_.data());
        } else if (!trouble) {
            try {
                read_piece(piece, tensor, file(tensor.file), file(tensor.scales ? tensor.scales->file : tensor.file),
                           piece_buffer_);
                bytes_read_ += static_cast<std::int64_t>(piece_buffer_.size());
            } catch (const Error& error) {
                trouble = ErrorReport{error.kind(), error.what(), session_.rank()};
            }
        }
    }

    // The disk reads the next pieces while this one is packed. Trouble with a file is told by whoever reads from it.
    void expect_ahead(std::int64_t round, std::optional<ErrorReport>& trouble) {
        constexpr std::int64_t kAhead = 8;  // pieces
        if (source_.random_seed || trouble) return;
        for (std::int64_t r = round == 0 ? 0 : round + kAhead; r <= round + kAhead; ++r) {
            const LoadPiece* piece = piece_of(session_.rank(), r);
            if (piece == nullptr) return;
            try {
                expect_piece(*piece, stored(*piece), file(stored(*piece).file));
            } catch (const Error& error) {
                trouble = ErrorReport{error.kind(), error.what(), session_.rank()};
                return;
            }
        }
    }

    void convert(const LoadPiece& piece) {
        if (sent(piece).dtype == stored(piece).dtype) return;
        convert_piece(piece, stored(piece), sent(piece), piece_buffer_, converted_buffer_);
        piece_buffer_.swap(converted_buffer_);
    }

    // A scale of a whole matrix follows from its largest magnitude, so where one is to be made its pieces are looked
    // through first, each by its reader.
    void find_matrix_scales(std::optional<ErrorReport>& trouble) {
        const InAccount account(clock_, Account::load_read);
        const auto wanted = [&](const LoadPiece& piece) {
            return sent(piece).dtype != stored(piece).dtype && block_format(sent(piece).dtype).of_matrix;
        };
        if (std::none_of(load_.pieces.begin(), load_.pieces.end(), wanted)) return;
        std::vector<float> largest(sent_.size());
        for (std::int64_t round = 0; round < load_.rounds; ++round) {
            const LoadPiece* piece = piece_of(session_.rank(), round);
            if (piece == nullptr || !wanted(*piece)) continue;
            fetch(*piece, trouble);
            float& most = largest[static_cast<std::size_t>(piece->tensor)];
            most = std::max(most, largest_of_piece(*piece, stored(*piece), piece_buffer_));
        }
        std::vector<float> all(largest.size() * static_cast<std::size_t>(session_.size()));
        session_.world().all_gather(largest.data(), static_cast<std::int64_t>(largest.size() * sizeof(float)),
                                    all.data());
        for (std::size_t t = 0; t < sent_.size(); ++t) {
            float most = 0;
            for (std::size_t at = t; at < all.size(); at += largest.size()) most = std::max(most, all[at]);
            if (block_format(sent_[t].dtype).of_matrix && source_.stored[t].dtype != sent_[t].dtype)
                sent_[t].matrix_scale = matrix_scale(sent_[t].dtype, most);
        }
    }

    void exchange(std::int64_t round, const std::vector<std::uint32_t>& wanted) {
        const InAccount account(clock_, Account::load_exchange);
        const int size = session_.size();
        send_counts_.assign(static_cast<std::size_t>(size), 0);
        receive_counts_.assign(static_cast<std::size_t>(size), 0);
        send_buffer_.clear();
        if (const LoadPiece* piece = piece_of(session_.rank(), round)) {
            const StoredTensor& tensor = sent(*piece);
            for (int rank = 0; rank < size; ++rank) {
                const auto homes = homes_of_rank_[static_cast<std::size_t>(rank)]->of(piece->tensor);
                const std::int64_t bytes = bytes_wanted(*piece, tensor, homes, wanted[static_cast<std::size_t>(rank)]);
                send_counts_[static_cast<std::size_t>(rank)] = bytes;
                const std::size_t begin = send_buffer_.size();
                send_buffer_.resize(begin + static_cast<std::size_t>(bytes));
                std::byte* into = send_buffer_.data() + begin;
                for (const TensorHome& home : homes) {
                    if ((wanted[static_cast<std::size_t>(rank)] >> static_cast<unsigned>(home.arena) & 1u) == 0)
                        continue;
                    const TensorSlice part = overlap(*piece, home.slice);
                    if (!part.empty()) into = put_part(*piece, tensor, part, piece_buffer_.data(), into);
                }
            }
        }
        if (size == 1) {  // what it sends itself need not be copied
            receive_buffer_.swap(send_buffer_);
            return;
        }
        std::int64_t total = 0;
        for (int rank = 0; rank < size; ++rank) {
            const LoadPiece* piece = piece_of(rank, round);
            if (piece == nullptr) continue;
            receive_counts_[static_cast<std::size_t>(rank)] = bytes_wanted(
                *piece, sent(*piece), mine().of(piece->tensor), wanted[static_cast<std::size_t>(session_.rank())]);
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
                    from += settle_part(home, part, sent(*piece), from, arena[static_cast<std::size_t>(home.arena)],
                                        ops_, turned_);
            }
        }
    }

    MpiSession& session_;
    const ModelPlan& plan_;
    const WeightSource& source_;
    const Ops& ops_;
    AccountClock& clock_;
    std::vector<StoredTensor> sent_;  // with the scales of matrices that are made here
    LoadPlan load_;
    std::map<std::tuple<int, int, int>, std::unique_ptr<ShareHomes>> homes_;
    std::vector<const ShareHomes*> homes_of_rank_;
    std::vector<std::unique_ptr<CheckpointFile>> files_;
    TurnedRows turned_;
    std::vector<std::byte> piece_buffer_, converted_buffer_, send_buffer_, receive_buffer_;
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
        for (const StoredTensor& tensor : source.stored)
            loaded.bytes_read += tensor.matrix_scales ? static_cast<std::int64_t>(sizeof(float)) : 0;
    }
    loaded.weights = view_weights(plan, source.tensors, arenas, arena);
    return loaded;
}

}  // namespace argosy
