// Options of every subcommand: tables of them, reading them, and checking their values.
#include "launch/options.hpp"

#include <fstream>
#include <sstream>

#include "kernels/base/error.hpp"
#include "kernels/quant/block_format.hpp"
#include "launch/option_reading.hpp"

namespace argosy {

namespace {

// Values as they are typed; JobSettings gets them after checking.
struct Typed {
    std::string model, run_dir, quality, weights_as, kv_dtype = "bf16", kv_memory, record, config, prefix_cache = "on",
                                                     ledger = "on", weights, slice;
    std::vector<std::string> input;
};

void add_layout(po::options_description& group, JobSettings& s) {
    group.add_options()                                                                                               //
        ("replicas", number(s.replicas), "independent copies of the model, each with its own share of the requests")  //
        ("dp", number(s.dp), "data-parallel groups within a replica: attention per group, experts shared")            //
        ("tp", number(s.tp), "ranks that share the heads and the dense layers of one group: 1, 2, 4 or 8")            //
        ("ep", number(s.ep), "ranks (or groups of etp ranks) over which whole experts are spread")                    //
        ("etp", number(s.etp), "ranks that split each expert: 1, 2, 4 or 8")                                          //
        ("pp", number(s.pp), "pipeline stages; this version runs 1");
}

void add_numbers(po::options_description& group, JobSettings& s, Typed& t) {
    group.add_options()                                                                                        //
        ("backend", po::value(&s.backend)->value_name("NAME"), "cpu, cuda, reference or auto (default auto)")  //
        ("isa", po::value(&s.isa)->value_name("NAME"),
         "amx (for int8 and bf16-amx), avx512, avx2, portable or auto: the same bits from each (default auto)")  //
        ("numerics", po::value(&s.numerics)->value_name("MODE"),
         "exact: weights as stored, f32 activations and sums; bf16: weights and activations rounded to bf16 for "
         "products; bf16-amx: the same in the order in which AMX sums; int8: codes of 8 bits with a scale for every "
         "128 values, of both (default exact)")  //
        ("weights-as", po::value(&t.weights_as)->value_name("FORMAT"),
         "encode the matrices when they are loaded, the router's and the vocabulary's apart: f32, bf16, f16, fp8, "
         "int8, mxfp4 or nvfp4 (default: as stored)")  //
        ("kv-dtype", po::value(&t.kv_dtype)->value_name("FORMAT"),
         "number format of the KV cache: bf16, f32, or with --numerics int8 also int8: attention then multiplies codes "
         "(default bf16)");
}

void add_sizes(po::options_description& group, JobSettings& s, Typed& t) {
    group.add_options()  //
        ("kv-memory", po::value(&t.kv_memory)->value_name("SIZE"),
         "KV pool of one rank, like 2GiB (default: a share of the memory that is free)")  //
        ("prefix-cache", po::value(&t.prefix_cache)->value_name("on|off"),
         "keep KV blocks of common prefixes (default on)")                                                          //
        ("max-rows", number(s.max_rows), "most rows (tokens) of one step of a data-parallel group (default 2048)")  //
        ("exchange-rows", number(s.exchange_rows),
         "rows per round of the expert exchange between two ranks (default: max-rows, or fewer among more than 4 "
         "ranks)")  //
        ("threads", number(s.threads),
         "threads of one rank (default: OMP_NUM_THREADS, else its share of the cores it may run on)");
}

void add_around(po::options_description& group, JobSettings& s, Typed& t) {
    group.add_options()  //
        ("cost-profile", po::value(&s.cost_profile)->value_name("NAME"),
         "prices for the bill: a name from configs/costs or a file (default: bill in rank-seconds)")  //
        ("cluster", po::value(&s.cluster)->value_name("FILE"),
         "a profile that argosy probe wrote, or a name from configs/clusters: the report says which part of the "
         "machine's limits was reached")  //
        ("watchdog", number(s.watchdog_s),
         "seconds without progress after which a rank ends the job, 0 for never (default 300)")  //
        ("ledger", po::value(&t.ledger)->value_name("on|off|measure"),
         "off: no account of where the time went; measure: none in every second step, and a line at the end says what "
         "keeping one costs (default on)")  //
        ("config", po::value(&t.config)->value_name("FILE"),
         "settings as NAME = VALUE lines; the command line goes first");
}

// Options that both `run` and `bench` have.
void add_common(po::options_description& all, JobSettings& s, Typed& t) {
    po::options_description layout("Layout: ranks = replicas x dp x tp, and ep x etp = dp x tp", kHelpColumns);
    add_layout(layout, s);
    po::options_description numbers("Numbers", kHelpColumns);
    add_numbers(numbers, s, t);
    po::options_description sizes("Sizes", kHelpColumns);
    add_sizes(sizes, s, t);
    po::options_description around("Around the job", kHelpColumns);
    add_around(around, s, t);
    all.add(layout).add(numbers).add(sizes).add(around);
}

po::options_description run_table(RunOptions& run, Typed& t) {
    JobSettings& s = run.settings;
    po::options_description what("Work", kHelpColumns);
    what.add_options()  //
        ("model", po::value(&t.model)->value_name("DIR"),
         "Hugging Face folder of the model (default: the demo model)")  //
        ("input", po::value(&t.input)->value_name("FILE"),
         "requests, may be given several times (default: the demo requests)")  //
        ("input-format", po::value(&s.input_format)->value_name("FORMAT"),
         "jsonl (OpenAI batch lines or {\"prompt\": ...}) or text (default jsonl)")  //
        ("run-dir", po::value(&t.run_dir)->value_name("DIR"),
         "folder for results (default: argosy-run); the same command goes on with what is not finished there")  //
        ("limit", number(s.limit), "run the first N requests only, of a slice the slice's first N")             //
        ("slice", po::value(&t.slice)->value_name("I/N"),
         "run part I of N equal parts of the input's lines, counted from 0; for job arrays, each part with a run "
         "directory of its own")                                                  //
        ("seed", number(s.seed), "seed of requests that bring none (default 0)")  //
        ("record", po::value(&t.record)->value_name("LIST"),
         "write of every prompt token logits, hidden states, router's choices, or (mtp) the logits of the layer that "
         "predicts one token further, to record/ in the run directory (HDF5)")                         //
        ("dry-run", po::bool_switch(&s.dry_run), "check everything, print the plan, read no weights")  //
        ("help", po::bool_switch(&run.help), "this text");
    po::options_description all(kHelpColumns);
    all.add(what);
    add_common(all, s, t);
    return all;
}

po::options_description bench_table(BenchOptions& bench, Typed& t) {
    JobSettings& s = bench.settings;
    po::options_description what("Work", kHelpColumns);
    what.add_options()  //
        ("model", po::value(&t.model)->value_name("DIR"),
         "Hugging Face folder or a config.json (default: the demo model)")                                        //
        ("weights", po::value(&t.weights)->value_name("random:SEED"), "random weights: a config.json is enough")  //
        ("requests", number(bench.requests), "number of requests (default 128)")                                  //
        ("input-tokens", number(bench.input_tokens), "prompt tokens of each request (default 128)")               //
        ("output-tokens", number(bench.output_tokens),
         "tokens to generate for each; end of text is ignored (default 128)")  //
        ("shared-prefix", number(bench.shared_prefix_tokens),
         "tokens that all prompts begin with, beside their own (default 0)")  //
        ("quality", po::value(&t.quality)->value_name("DIR"),
         "instead of synthetic work, solve tasks and score texts: DIR holds tasks.jsonl, answers.jsonl, texts.jsonl; "
         "demo: those of the demo model. Wants --run-dir")  //
        ("run-dir", po::value(&t.run_dir)->value_name("DIR"),
         "keep results and report there (default: nothing is kept)")                                   //
        ("seed", number(s.seed), "seed of the prompts (default 0)")                                    //
        ("dry-run", po::bool_switch(&s.dry_run), "check everything, print the plan, make no weights")  //
        ("help", po::bool_switch(&bench.help), "this text");
    po::options_description all(kHelpColumns);
    all.add(what);
    add_common(all, s, t);
    return all;
}

void check_common(JobSettings& s, const Typed& t) {
    constexpr std::int64_t kRanksMax = 1 << 20;
    check_number(s.replicas, 0, kRanksMax, "--replicas");
    check_number(s.dp, 0, kRanksMax, "--dp");
    check_number(s.tp, 0, 8, "--tp");
    check_number(s.ep, 0, kRanksMax, "--ep");
    check_number(s.etp, 0, 8, "--etp");
    if (s.pp > 1 || s.pp < 0)
        fail(ErrorKind::usage,
             "--pp is {}; this version runs one pipeline stage. Use --tp, --ep or --dp to spread a model.", s.pp);
    check_word(s.numerics, {"exact", "bf16", "bf16-amx", "int8"}, "--numerics");
    check_word(t.kv_dtype, {"bf16", "f32", "int8"}, "--kv-dtype");
    s.kv_dtype = t.kv_dtype == "f32" ? DType::f32 : t.kv_dtype == "int8" ? DType::int8 : DType::bf16;
    if (s.kv_dtype == DType::int8 && s.numerics != "int8") {
        fail(ErrorKind::usage,
             "--kv-dtype int8 needs --numerics int8: with '{}' attention multiplies f32. Give both, or another "
             "--kv-dtype.",
             s.numerics);
    }
    if (!t.weights_as.empty()) s.weights_as = parse_weight_format(t.weights_as);
    if (!t.kv_memory.empty()) {
        s.kv_memory_bytes = parse_bytes(t.kv_memory, "--kv-memory");
        check_number(s.kv_memory_bytes, 1, std::int64_t{1} << 60, "--kv-memory");
    }
    s.prefix_cache = parse_switch(t.prefix_cache, "--prefix-cache");
    check_word(t.ledger, {"on", "off", "measure"}, "--ledger");
    s.ledger = t.ledger == "on" ? LedgerUse::on : t.ledger == "off" ? LedgerUse::off : LedgerUse::measure;
    check_number(s.max_rows, 1, 65536, "--max-rows");
    check_number(s.exchange_rows, 0, 65536, "--exchange-rows");
    check_number(s.threads, 0, 4096, "--threads");
    check_number(s.watchdog_s, 0, 1000000, "--watchdog");
    s.model = t.model;
    s.run_dir = t.run_dir;
}

std::vector<std::string> split_list(const std::string& text) {
    std::vector<std::string> words;
    std::stringstream stream(text);
    for (std::string word; std::getline(stream, word, ',');) words.push_back(word);
    return words;
}

// "2/8" -> part 2 of the parts 0 to 7.
void read_slice(const std::string& text, JobSettings& s) {
    int slice = -1, slices = 0;
    std::istringstream stream(text);
    char bar = 0;
    const bool read = static_cast<bool>(stream >> slice >> bar >> slices) && bar == '/' &&
                      stream.peek() == std::char_traits<char>::eof();
    if (!read || slices < 1 || slice < 0 || slice >= slices) {
        fail(ErrorKind::usage,
             "--slice is \"{}\"; write I/N, part I of N, with I from 0 to N - 1: 0/4, 1/4, 2/4 and 3/4 are the whole.",
             text);
    }
    s.slice = slice;
    s.slices = slices;
}

}  // namespace

RunOptions parse_run_options(const std::vector<std::string>& arguments) {
    RunOptions run;
    Typed typed;
    const po::options_description table = run_table(run, typed);
    read_arguments(arguments, table, "argosy run");
    if (run.help) return run;
    JobSettings& s = run.settings;
    check_common(s, typed);
    check_word(s.input_format, {"jsonl", "text"}, "--input-format");
    check_number(s.limit, 0, std::int64_t{1} << 60, "--limit");
    if (!typed.slice.empty()) read_slice(typed.slice, s);
    s.input.assign(typed.input.begin(), typed.input.end());
    s.record = split_list(typed.record);
    for (const std::string& what : s.record) check_word(what, {"logits", "hidden", "router", "mtp"}, "--record");
    return run;
}

BenchOptions parse_bench_options(const std::vector<std::string>& arguments) {
    BenchOptions bench;
    Typed typed;
    const po::options_description table = bench_table(bench, typed);
    read_arguments(arguments, table, "argosy bench");
    if (bench.help) return bench;
    check_common(bench.settings, typed);
    check_number(bench.requests, 1, 10'000'000, "--requests");
    check_number(bench.input_tokens, 0, 10'000'000, "--input-tokens");
    check_number(bench.output_tokens, 1, 10'000'000, "--output-tokens");
    check_number(bench.shared_prefix_tokens, 0, 10'000'000, "--shared-prefix");
    check_number(std::int64_t{bench.input_tokens} + bench.shared_prefix_tokens, 1, 10'000'000,
                 "--input-tokens plus --shared-prefix");
    if (!typed.weights.empty()) {
        bench.random_weights = parse_random_seed(typed.weights);
    }
    bench.quality = typed.quality;
    if (!typed.quality.empty() && bench.settings.run_dir.empty())
        fail(ErrorKind::usage, "--quality keeps its answers: add --run-dir DIR.");
    if (!typed.quality.empty() && bench.random_weights)
        fail(ErrorKind::usage, "--quality of random weights says nothing; leave out --weights.");
    return bench;
}

namespace {

po::options_description inspect_table(InspectArguments& inspect, std::string& model) {
    po::options_description table(kHelpColumns);
    table.add_options()  //
        ("model", po::value(&model)->value_name("DIR"),
         "folder of the model or a config.json; may stand without --model (default: the demo model)")                //
        ("dp", number(inspect.dp), "data-parallel groups of the layout whose bytes per rank are shown (default 1)")  //
        ("tp", number(inspect.tp), "its tensor-parallel ranks (default 1)")                                          //
        ("ep", number(inspect.ep), "its expert-parallel groups (default dp x tp / etp)")                             //
        ("etp", number(inspect.etp), "its ranks that split each expert (default 1)")                                 //
        ("tokenize", po::value(&inspect.tokenize)->value_name("FILE"),
         "print the token ids of each line of FILE instead")  //
        ("render", po::value(&inspect.render)->value_name("FILE"),
         "print the prompt that each request line of FILE becomes instead, chats by the model's template")  //
        ("help", po::bool_switch(&inspect.help), "this text");
    return table;
}

}  // namespace

InspectArguments parse_inspect_options(const std::vector<std::string>& arguments) {
    InspectArguments inspect;
    std::string model;
    const po::options_description table = inspect_table(inspect, model);
    po::positional_options_description positions;
    positions.add("model", 1);
    po::variables_map values;
    try {
        namespace style = po::command_line_style;
        po::store(po::command_line_parser(arguments)
                      .options(table)
                      .positional(positions)
                      .style(style::allow_long | style::long_allow_adjacent | style::long_allow_next)
                      .run(),
                  values);
        po::notify(values);
    } catch (po::error& error) {
        fail_parsing(error, table, "argosy inspect");
    }
    inspect.model = model;
    return inspect;
}

std::string inspect_help() {
    InspectArguments inspect;
    std::string model;
    std::ostringstream text;
    text << "argosy inspect MODEL: what a model is, from its folder or from its config.json alone\n\n"
            "  argosy inspect Mixtral-8x22B/config.json --tp 4 --ep 8\n\n"
         << inspect_table(inspect, model);
    return text.str();
}

std::string run_help() {
    RunOptions run;
    Typed typed;
    std::ostringstream text;
    text << "argosy run: generates for a file of requests, under mpirun or srun or alone\n\n"
            "  mpirun -n 4 argosy run --model DIR --input requests.jsonl --run-dir out\n\n"
         << run_table(run, typed);
    return text.str();
}

std::string bench_help() {
    BenchOptions bench;
    Typed typed;
    std::ostringstream text;
    text << "argosy bench: fixed-length synthetic work\n\n"
            "  argosy bench --model config.json --weights random:1 --requests 128 --input-tokens 128 --output-tokens "
            "128\n\n"
         << bench_table(bench, typed);
    return text.str();
}

std::string effective_config(const JobSettings& s) {
    std::string text = "# The settings of this run. Use it again with: argosy run --config FILE\n";
    const auto line = [&](const char* key, const std::string& value) { text += fmt::format("{} = {}\n", key, value); };
    line("model", s.model.string());
    for (const auto& file : s.input) line("input", file.string());
    line("input-format", s.input_format);
    line("run-dir", s.run_dir.string());
    line("limit", std::to_string(s.limit));
    if (s.slices > 1) line("slice", fmt::format("{}/{}", s.slice, s.slices));
    line("replicas", std::to_string(s.replicas));
    line("dp", std::to_string(s.dp));
    line("tp", std::to_string(s.tp));
    line("ep", std::to_string(s.ep));
    line("etp", std::to_string(s.etp));
    line("backend", s.backend);
    line("isa", s.isa);
    line("numerics", s.numerics);
    if (s.weights_as) line("weights-as", std::string(name_of(*s.weights_as)));
    line("kv-dtype", std::string(name_of(s.kv_dtype)));
    if (s.kv_memory_bytes > 0) line("kv-memory", std::to_string(s.kv_memory_bytes));
    line("prefix-cache", s.prefix_cache ? "on" : "off");
    line("max-rows", std::to_string(s.max_rows));
    line("exchange-rows", std::to_string(s.exchange_rows));
    line("threads", std::to_string(s.threads));
    line("seed", std::to_string(s.seed));
    line("watchdog", std::to_string(s.watchdog_s));
    if (s.ledger != LedgerUse::on) line("ledger", s.ledger == LedgerUse::off ? "off" : "measure");
    if (!s.cost_profile.empty()) line("cost-profile", s.cost_profile);
    if (!s.cluster.empty()) line("cluster", s.cluster);
    return text;
}

}  // namespace argosy
