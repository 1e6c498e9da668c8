// What a job is told to do: every setting that the command line and the config file can give, after checking, as plain
// data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kernels/base/dtype.hpp"

namespace argosy {

// off: one account, no waits told from transfer. measure: off in every second step, to see what the ledger costs.
enum class LedgerUse : std::uint8_t { on, off, measure };

struct JobSettings {
    // what
    std::filesystem::path model;               // folder of a Hugging Face checkpoint
    std::vector<std::filesystem::path> input;  // request files, read in this order
    std::string input_format = "jsonl";        // "jsonl" or "text"
    std::filesystem::path run_dir;             // where results go
    std::int64_t limit = 0;                    // first requests only, of the slice; 0: all
    int slice = 0;                             // this part of the input's lines, of `slices` equal ones
    int slices = 1;

    // how it is spread; 0: chosen by the program
    int replicas = 0;
    int pp = 0;
    int dp = 0;
    int tp = 0;
    int ep = 0;
    int etp = 0;

    // numbers
    std::string backend = "auto";
    std::string isa = "auto";
    std::string numerics = "exact";
    DType kv_dtype = DType::bf16;
    std::optional<DType> weights_as;  // encode the matrices of products so when they are loaded; nothing: as stored
    std::uint64_t seed = 0;           // of requests that bring none

    // sizes
    std::int64_t kv_memory_bytes = 0;  // KV pool of one rank; 0: from the memory that is free
    int max_rows = 2048;               // rows of one step of one data-parallel group
    int exchange_rows = 0;  // rows per round of the expert exchange between two ranks; 0: exchange_rows_of (fit.hpp)
    int threads = 0;        // 0: from the affinity mask
    bool prefix_cache = true;

    // around it
    std::string cost_profile;         // name in configs/costs, or a file; "": bill in rank-seconds
    std::string cluster;              // cluster profile: a file or a name; "": no limits are printed
    std::vector<std::string> record;  // of "logits", "hidden", "router", "mtp"
    int watchdog_s = 300;             // a rank without progress for so long ends the job; 0: off
    LedgerUse ledger = LedgerUse::on;
    bool dry_run = false;
    std::string effective;  // all of the above as a config file, kept in the run directory
};

}  // namespace argosy
