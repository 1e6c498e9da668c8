// Cluster profiles as JSON.
#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/base/error.hpp"
#include "runtime/probe/cluster_profile.hpp"

namespace argosy {

namespace {

using Json = nlohmann::ordered_json;

// Figures to four digits: more would be noise.
double rounded(double value) {
    if (value == 0 || !std::isfinite(value)) return 0;
    return std::stod(fmt::format("{:.4g}", value));
}
Json json_of(const Figure& f) {
    return {{"median", rounded(f.median)}, {"low", rounded(f.low)}, {"high", rounded(f.high)}};
}
Json json_of(const NodeFigures& f) { return {{"node", json_of(f.node)}, {"alone", json_of(f.alone)}}; }

// Reads members of one object; errors name the file and the way to the key.
class Reader {
  public:
    Reader(const Json& node, std::string path, std::string way)
        : node_(node), path_(std::move(path)), way_(std::move(way)) {
        if (!node_.is_object()) reject("", "is not an object");
    }
    Reader object(const char* key) const { return {member(key), path_, way_ + key + "."}; }
    std::vector<Reader> objects(const char* key) const {
        const Json& list = member(key);
        if (!list.is_array()) reject(key, "is not a list");
        std::vector<Reader> readers;
        for (std::size_t i = 0; i < list.size(); ++i)
            readers.emplace_back(list[i], path_, fmt::format("{}{}[{}].", way_, key, i));
        return readers;
    }
    std::string text(const char* key) const {
        if (!member(key).is_string()) reject(key, "is not text");
        return member(key).get<std::string>();
    }
    bool boolean(const char* key) const {
        if (!member(key).is_boolean()) reject(key, "is neither true nor false");
        return member(key).get<bool>();
    }
    std::int64_t integer(const char* key, std::int64_t least) const {
        if (!member(key).is_number_integer() || member(key).get<std::int64_t>() < least)
            reject(key, fmt::format("is not a whole number of at least {}", least));
        return member(key).get<std::int64_t>();
    }
    int count(const char* key) const {
        const std::int64_t value = integer(key, 1);
        if (value > 1 << 24) reject(key, "is too large");
        return static_cast<int>(value);
    }
    double number(const char* key) const {
        if (!member(key).is_number() || !(member(key).get<double>() >= 0)) reject(key, "is not a number of at least 0");
        return member(key).get<double>();
    }
    Figure figure(const char* key) const {
        const Reader f = object(key);
        return {.median = f.number("median"), .low = f.number("low"), .high = f.number("high")};
    }
    // A speed that limits are computed from.
    NodeFigures speeds(const char* key) const {
        const Reader f = object(key);
        NodeFigures figures{f.figure("node"), f.figure("alone")};
        if (!(figures.node.median > 0) || !(figures.alone.median > 0)) reject(key, "holds a median of 0");
        return figures;
    }
    bool has(const char* key) const { return node_.contains(key) && !node_.at(key).is_null(); }

    [[noreturn]] void reject(const std::string& key, const std::string& predicate) const {
        const std::string name = key.empty() && way_.empty() ? "the file" : fmt::format("\"{}{}\"", way_, key);
        fail(ErrorKind::input, "{}: {} {}. Measure the machine again with argosy probe.", path_, name, predicate);
    }

  private:
    const Json& member(const char* key) const {
        if (!node_.contains(key)) reject(key, "is missing");
        return node_.at(key);
    }
    const Json& node_;
    std::string path_;
    std::string way_;
};

}  // namespace

std::string to_json(const ClusterProfile& p) {
    Json root = {{"schema", kClusterSchema},
                 {"measured_utc", p.measured_utc},
                 {"program", p.program},
                 {"cpu", p.cpu},
                 {"mpi", p.mpi},
                 {"host", p.host},
                 {"nodes", p.nodes},
                 {"ranks_per_node", p.ranks_per_node},
                 {"threads_per_rank", p.threads_per_rank},
                 {"cores_per_node", p.cores_per_node},
                 {"shared_cores", p.shared_cores},
                 {"quick", p.quick},
                 {"rounds", p.rounds},
                 {"memory_bytes", p.memory_bytes},
                 {"array_bytes", p.array_bytes},
                 {"read_gbytes", json_of(p.read_gbytes)},
                 {"copy_gbytes", json_of(p.copy_gbytes)},
                 {"step_word_us", json_of(p.step_word_us)},
                 {"barrier_us", json_of(p.barrier_us)},
                 {"arithmetic", Json::array()},
                 {"caches", Json::array()},
                 {"links", Json::array()},
                 {"disk", nullptr}};
    for (const ArithmeticFigures& a : p.arithmetic)
        root["arithmetic"].push_back(
            {{"kind", a.kind}, {"isa", a.isa}, {"instruction", a.instruction}, {"gops", json_of(a.gops)}});
    for (const CacheFigures& c : p.caches)
        root["caches"].push_back(
            {{"level", c.level}, {"bytes", c.bytes}, {"cpus", c.cpus}, {"read_gbytes", json_of(c.read_gbytes)}});
    for (const LinkFigures& l : p.links)
        root["links"].push_back({{"between", l.between},
                                 {"pairs", l.pairs},
                                 {"latency_us", json_of(l.latency_us)},
                                 {"gbytes_alone", json_of(l.gbytes_alone)},
                                 {"gbytes_together", json_of(l.gbytes_together)}});
    if (p.disk)
        root["disk"] = {{"path", p.disk->path},
                        {"method", p.disk->method},
                        {"bytes", p.disk->bytes},
                        {"writers", p.disk->writers},
                        {"write_gbytes", json_of(p.disk->write_gbytes)},
                        {"read_gbytes", json_of(p.disk->read_gbytes)}};
    return root.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

ClusterProfile parse_cluster_profile(std::string_view text, const std::string& path) {
    const Json root = Json::parse(text, nullptr, false);
    if (root.is_discarded())
        fail(ErrorKind::input, "{} is not JSON. Measure the machine again with argosy probe.", path);
    const Reader r(root, path, "");
    if (const std::string schema = r.text("schema"); schema != kClusterSchema)
        r.reject("schema", fmt::format("is {}; this version reads {}", schema, kClusterSchema));
    ClusterProfile p;
    p.measured_utc = r.text("measured_utc");
    p.program = r.text("program");
    p.cpu = r.text("cpu");
    p.mpi = r.text("mpi");
    p.host = r.text("host");
    p.nodes = r.count("nodes");
    p.ranks_per_node = r.count("ranks_per_node");
    p.threads_per_rank = r.count("threads_per_rank");
    p.cores_per_node = r.count("cores_per_node");
    p.shared_cores = r.boolean("shared_cores");
    p.quick = r.boolean("quick");
    p.rounds = r.count("rounds");
    p.memory_bytes = r.integer("memory_bytes", 0);
    p.array_bytes = r.integer("array_bytes", 0);
    p.read_gbytes = r.speeds("read_gbytes");
    p.copy_gbytes = r.speeds("copy_gbytes");
    p.step_word_us = r.figure("step_word_us");
    p.barrier_us = r.figure("barrier_us");
    for (const Reader& a : r.objects("arithmetic"))
        p.arithmetic.push_back({a.text("kind"), a.text("isa"), a.text("instruction"), a.speeds("gops")});
    for (const Reader& c : r.objects("caches"))
        p.caches.push_back(
            {static_cast<int>(c.integer("level", 1)), c.integer("bytes", 1), c.count("cpus"), c.speeds("read_gbytes")});
    for (const Reader& l : r.objects("links"))
        p.links.push_back({l.text("between"), static_cast<int>(l.integer("pairs", 0)), l.figure("latency_us"),
                           l.figure("gbytes_alone"), l.figure("gbytes_together")});
    if (r.has("disk")) {
        const Reader d = r.object("disk");
        p.disk = {d.text("path"),     d.text("method"),         d.integer("bytes", 0),
                  d.count("writers"), d.figure("write_gbytes"), d.figure("read_gbytes")};
    }
    return p;
}

}  // namespace argosy
