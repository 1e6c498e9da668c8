// A profile as text.
#include <fmt/format.h>

#include "runtime/probe/cluster_profile.hpp"

namespace argosy {

namespace {

std::string with_spread(const Figure& f) { return fmt::format("{:.4g} ({:.4g} to {:.4g})", f.median, f.low, f.high); }

std::string row(const std::string& what, const std::string& unit, const NodeFigures& f) {
    return fmt::format(" {:<34} {:>7}   {:<28} {}\n", what, unit, with_spread(f.node), with_spread(f.alone));
}
std::string row(const std::string& what, const std::string& unit, const Figure& f, const std::string& more = "") {
    return fmt::format(" {:<34} {:>7}   {:<28} {}\n", what, unit, with_spread(f), more);
}

std::string size_text(std::int64_t bytes) {
    if (bytes >= std::int64_t{1} << 30) return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / 1073741824.0);
    return bytes >= 1 << 20 ? fmt::format("{:.0f} MiB", static_cast<double>(bytes) / 1048576.0)
                            : fmt::format("{:.0f} KiB", static_cast<double>(bytes) / 1024.0);
}

const char* plural(int count) { return count == 1 ? "" : "s"; }

std::string head(const ClusterProfile& p) {
    std::string text = fmt::format("CLUSTER  {}{}\n", p.cpu, p.quick ? "   (quick: few and short rounds)" : "");
    text += fmt::format(" {} node{}, up to {} rank{} of {} thread{} on each, {} core{} and {} of memory per node; {}\n",
                        p.nodes, plural(p.nodes), p.ranks_per_node, plural(p.ranks_per_node), p.threads_per_rank,
                        plural(p.threads_per_rank), p.cores_per_node, plural(p.cores_per_node),
                        size_text(p.memory_bytes), p.mpi);
    if (p.shared_cores)
        text += " more threads than cores: what one thread gets is shown too low, and waiting too long\n";
    text += fmt::format(
        " medians of {} rounds (lowest to highest); all threads of the slowest node at once | one thread"
        " while the others wait\n",
        p.rounds);
    return text;
}

}  // namespace

std::string describe(const ClusterProfile& p) {
    std::string text = head(p);
    text += fmt::format(" {:<34} {:>7}   {:<28} {}\n", "", "", "node", "one thread");
    for (const ArithmeticFigures& a : p.arithmetic) {
        const std::string unit = a.kind == "int8" ? "GOP/s" : "GFLOP/s";
        text += row(fmt::format("{} {} ({})", a.kind, a.isa, a.instruction), unit, a.gops);
    }
    for (const CacheFigures& c : p.caches) {
        text += row(fmt::format("read L{} cache, {} for {} CPU{}", c.level, size_text(c.bytes), c.cpus, plural(c.cpus)),
                    "GB/s", c.read_gbytes);
    }
    text += row(fmt::format("read memory, {} per node", size_text(p.array_bytes)), "GB/s", p.read_gbytes);
    text += row("copy memory, read + written", "GB/s", p.copy_gbytes);
    for (const LinkFigures& l : p.links) {
        text += row(fmt::format("message of 8 bytes, {}", l.between), "us", l.latency_us, "one way, one pair alone");
        text += row(fmt::format("messages of 4 MiB, {}", l.between), "GB/s", l.gbytes_alone, "one way, one pair alone");
        text += row("", "GB/s", l.gbytes_together, fmt::format("each of {} pair{} at once", l.pairs, plural(l.pairs)));
    }
    if (p.step_word_us.median > 0) {
        text += row("all-gather of the step's word", "us", p.step_word_us, "64 bytes per rank, all ranks");
        text += row("barrier", "us", p.barrier_us, "all ranks");
    } else {
        text += " messages                                      none: one rank has nobody to talk to\n";
    }
    if (p.disk) {
        const std::string what = fmt::format("{} from {} node{}, {}", size_text(p.disk->bytes), p.disk->writers,
                                             plural(p.disk->writers), p.disk->method);
        text += row("write " + p.disk->path, "GB/s", p.disk->write_gbytes, what);
        text += row("read " + p.disk->path, "GB/s", p.disk->read_gbytes);
    }
    return text;
}

}  // namespace argosy
